"""GET /v3/certificates: the platform certificate, sealed with the merchant's APIv3 key."""

from cryptography import x509

from simulators.common.faults import Drawn, FaultKind
from simulators.wechat.call import Call
from simulators.wechat.errors import Failed
from simulators.wechat.shapes import stamp
from simulators.wechat.signing import encrypt


def show(call: Call, drawn: Drawn) -> dict[str, object]:
    """The certificates in force. A merchant that has only a public key is refused."""
    if drawn.kind is FaultKind.REFUSE:
        raise Failed(
            404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥"
        )
    platform = call.wechat.platform
    certificate = x509.load_pem_x509_certificate(platform.certificate.encode())
    sealed = encrypt(call.merchant.account.apiv3_key, platform.certificate.encode(), "certificate")
    return {
        "data": [
            {
                "serial_no": platform.certificate_signer.serial,
                "effective_time": stamp(certificate.not_valid_before_utc.timestamp()),
                "expire_time": stamp(certificate.not_valid_after_utc.timestamp()),
                "encrypt_certificate": sealed,
            }
        ]
    }
