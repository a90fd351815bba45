"""Drives `python-alipay-sdk`, the widely used independent one, against the address it is given.

In: {"account": {...as merchants.json...}, "steps": [[kind, method, biz, options], ...]}.
`execute` calls the gateway and verifies the answer, `page` and `app` only sign, `verify` checks a
notice. Out: one result a step; a step that raised gives {"error": text}.
"""

import json
import sys

from alipay import AliPay

METHODS = {
    "bill": "alipay.data.dataservice.bill.downloadurl.query",
    "cancel": "alipay.trade.cancel",
    "close": "alipay.trade.close",
    "precreate": "alipay.trade.precreate",
    "query": "alipay.trade.query",
    "refund": "alipay.trade.refund",
    "refund_query": "alipay.trade.fastpay.refund.query",
}


def step(client, kind, method, biz, options):
    if kind == "verify":
        data = dict(biz)
        return client.verify(data, data.pop("sign"))
    if kind in ("page", "app"):
        sign = getattr(client, f"api_alipay_trade_{method}_pay")
        return sign(**biz, **options)
    return client.server_api(METHODS[method], biz, **options)


def main():
    asked = json.load(sys.stdin)
    account = asked["account"]
    client = AliPay(
        appid=account["app_id"],
        app_private_key_string=account["app_private_key"],
        alipay_public_key_string=account["alipay_public_key"],
    )
    client._gateway = account["gateway_url"]
    results = []
    for kind, method, biz, options in asked["steps"]:
        try:
            results.append(step(client, kind, method, biz, options))
        except Exception as error:  # noqa: BLE001
            results.append({"error": f"{type(error).__name__}: {error}"})
    json.dump(results, sys.stdout)


main()
