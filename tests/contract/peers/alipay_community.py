"""`python-alipay-sdk` verifies a request's signature and signs a notice.

In: {"params", "public_key", "notice", "private_key"}; out: {"verified": [ours, ours changed],
"signature"}. It runs apart: its package clashes with the other one's.
"""

import json
import sys

from alipay import AliPay


def main():
    asked = json.load(sys.stdin)
    client = AliPay(
        appid="1",
        app_private_key_string=asked["private_key"],
        alipay_public_key_string=asked["public_key"],
    )
    params = dict(asked["params"])
    signature = params.pop("sign")
    ours = "&".join(f"{name}={value}" for name, value in client._ordered_data(params))
    theirs = "&".join(f"{name}={value}" for name, value in client._ordered_data(asked["notice"]))
    verified = [client._verify(ours, signature), client._verify(ours + "x", signature)]
    json.dump({"verified": verified, "signature": client._sign(theirs)}, sys.stdout)


main()
