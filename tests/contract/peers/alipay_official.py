"""Alipay's own SDK verifies a request's signature and signs a notice.

In: {"params", "public_key", "notice", "private_key"}; out: {"verified": [ours, ours changed],
"signature"}. It runs apart: its package clashes with the other one's.
"""

import base64
import json
import sys

from alipay.aop.api.util.SignatureUtils import get_sign_content, sign_with_rsa2, verify_with_rsa
from pyasn1.codec.der.decoder import decode


def bare(pem):
    return "".join(pem.splitlines()[1:-1])


def pkcs1(pem):
    """The PKCS#1 key inside a PKCS#8 one, as the SDK wants it."""
    info, _ = decode(base64.b64decode(bare(pem)))
    return base64.b64encode(bytes(info[2])).decode()


def is_verified(asked, content):
    signature = asked["params"]["sign"]
    try:
        return verify_with_rsa(bare(asked["public_key"]), content.encode(), signature)
    except Exception:  # noqa: BLE001  the SDK raises what its library raises
        return False


def main():
    asked = json.load(sys.stdin)
    content = get_sign_content({k: v for k, v in asked["params"].items() if k != "sign"})
    signature = sign_with_rsa2(
        pkcs1(asked["private_key"]), get_sign_content(asked["notice"]), "utf-8"
    )
    verified = [is_verified(asked, content), is_verified(asked, content + "x")]
    json.dump({"verified": verified, "signature": signature}, sys.stdout)


main()
