"""Drives `alipay-sdk-python`, Alipay's own, against the address it is given.

In: {"account": {...as merchants.json...}, "steps": [[kind, method, biz, options], ...]}.
`execute` calls the gateway and verifies the answer, `page` and `app` only sign, `verify` checks a
notice. Out: one result a step; a step that raised gives {"error": text}.
"""

import base64
import http.client
import json
import sys
from urllib.parse import urlsplit

from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.DefaultAlipayClient import DefaultAlipayClient
from alipay.aop.api.request.AlipayDataDataserviceBillDownloadurlQueryRequest import (
    AlipayDataDataserviceBillDownloadurlQueryRequest,
)
from alipay.aop.api.request.AlipayTradeAppPayRequest import AlipayTradeAppPayRequest
from alipay.aop.api.request.AlipayTradeCancelRequest import AlipayTradeCancelRequest
from alipay.aop.api.request.AlipayTradeCloseRequest import AlipayTradeCloseRequest
from alipay.aop.api.request.AlipayTradeFastpayRefundQueryRequest import (
    AlipayTradeFastpayRefundQueryRequest,
)
from alipay.aop.api.request.AlipayTradePagePayRequest import AlipayTradePagePayRequest
from alipay.aop.api.request.AlipayTradePrecreateRequest import AlipayTradePrecreateRequest
from alipay.aop.api.request.AlipayTradeQueryRequest import AlipayTradeQueryRequest
from alipay.aop.api.request.AlipayTradeRefundRequest import AlipayTradeRefundRequest
from alipay.aop.api.request.AlipayTradeWapPayRequest import AlipayTradeWapPayRequest
from alipay.aop.api.util import WebUtils
from alipay.aop.api.util.SignatureUtils import get_sign_content, verify_with_rsa
from pyasn1.codec.der.decoder import decode

REQUESTS = {
    "bill": AlipayDataDataserviceBillDownloadurlQueryRequest,
    "app": AlipayTradeAppPayRequest,
    "cancel": AlipayTradeCancelRequest,
    "close": AlipayTradeCloseRequest,
    "refund_query": AlipayTradeFastpayRefundQueryRequest,
    "page": AlipayTradePagePayRequest,
    "precreate": AlipayTradePrecreateRequest,
    "query": AlipayTradeQueryRequest,
    "refund": AlipayTradeRefundRequest,
    "wap": AlipayTradeWapPayRequest,
}


def connect(url, query_string, timeout):
    """The SDK's own cannot carry a port; the absolute-form request line stays as it makes it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    return f"http://{parts.netloc}{parts.path}?{query_string}", connection


def pkcs1(pem):
    """The PKCS#1 key inside a PKCS#8 one, as the SDK wants it: one line of base64."""
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    info, _ = decode(der)
    return base64.b64encode(bytes(info[2])).decode()


def make_client(account):
    config = AlipayClientConfig()
    config.server_url = account["gateway_url"]
    config.app_id = account["app_id"]
    config.app_private_key = pkcs1(account["app_private_key"])
    config.alipay_public_key = "".join(account["alipay_public_key"].splitlines()[1:-1])
    return DefaultAlipayClient(alipay_client_config=config)


def step(client, account, kind, method, biz, options):
    if kind == "verify":
        kept = {k: v for k, v in biz.items() if v and k not in ("sign", "sign_type")}
        public = "".join(account["alipay_public_key"].splitlines()[1:-1])
        return verify_with_rsa(public, get_sign_content(kept).encode(), biz["sign"])
    request = REQUESTS[method]()
    request.biz_content = biz
    for name, value in options.items():
        setattr(request, name, value)
    if kind == "page":
        return client.page_execute(request, http_method="GET")
    if kind == "form":
        return client.page_execute(request)
    if kind == "app":
        return client.sdk_execute(request)
    return json.loads(client.execute(request))


def main():
    WebUtils.get_http_connection = connect
    asked = json.load(sys.stdin)
    account = asked["account"]
    client = make_client(account)
    results = []
    for kind, method, biz, options in asked["steps"]:
        try:
            results.append(step(client, account, kind, method, biz, options))
        except Exception as error:  # noqa: BLE001
            results.append({"error": f"{type(error).__name__}: {error}"})
    json.dump(results, sys.stdout)


main()
