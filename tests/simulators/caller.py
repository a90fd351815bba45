"""A merchant's bare calls to the WeChat simulator, where a test needs the exchange itself."""

import base64
import json
import time
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Caller:
    """Signs and sends; returns what came back, whatever it was."""

    def __init__(self, account: dict[str, Any], notify_url: str) -> None:
        self._account = account
        self._notify_url = notify_url

    async def create(
        self, number: str, amount: int = 10000, timeout_seconds: float = 5.0
    ) -> tuple[int, bytes]:
        """A native order."""
        body = {
            "appid": self._account["appid"],
            "mchid": self._account["mchid"],
            "description": "Top-up",
            "out_trade_no": number,
            "notify_url": self._notify_url,
            "amount": {"total": amount, "currency": "CNY"},
        }
        return await self.send("POST", "/v3/pay/transactions/native", body, timeout_seconds)

    async def query(self, number: str) -> dict[str, Any]:
        """The order's state."""
        path = f"/v3/pay/transactions/out-trade-no/{number}?mchid={self._account['mchid']}"
        return json.loads((await self.send("GET", path))[1])

    async def refund(self, number: str, refund_number: str, amount: int, total: int) -> Any:
        """A refund, told to the same address."""
        body = {
            "out_trade_no": number,
            "out_refund_no": refund_number,
            "notify_url": self._notify_url,
            "amount": {"refund": amount, "total": total, "currency": "CNY"},
        }
        return json.loads((await self.send("POST", "/v3/refund/domestic/refunds", body))[1])

    async def control(self, call: str, body: dict[str, Any]) -> None:
        """A control call that must succeed."""
        url = f"{self._account['base_url']}/_control/{call}"
        async with aiohttp.ClientSession() as client, client.post(url, json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def send(
        self, method: str, path: str, body: Any = None, timeout_seconds: float = 5.0
    ) -> tuple[int, bytes]:
        """One signed request."""
        sent = json.dumps(body).encode() if body is not None else b""
        now = int(time.time())  # noqa: TID251
        headers = {
            "Authorization": authorization(self._account, method, path, sent, now),
            "Accept": "application/json",
            "User-Agent": "test",
        }
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.request(
                method, self._account["base_url"] + path, data=sent, headers=headers
            ) as answer,
        ):
            return answer.status, await answer.read()


def authorization(account: dict[str, Any], method: str, path: str, body: bytes, at: int) -> str:
    """A signed header, written here once more so that a shared mistake cannot hide."""
    key = serialization.load_pem_private_key(account["merchant_private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    message = f"{method}\n{path}\n{at}\nnonce\n".encode() + body + b"\n"
    made = base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
    return (
        f'WECHATPAY2-SHA256-RSA2048 mchid="{account["mchid"]}",nonce_str="nonce",'
        f'signature="{made}",timestamp="{at}",serial_no="{account["merchant_serial_no"]}"'
    )
