"""`POST /v1/wallets/{id}/spend` over HTTP: 64 kept-alive connections, a key on every request."""

from __future__ import annotations

from bench.installation import Installation
from bench.load import Load, send_for
from bench.processes import Meter
from bench.rounds import Sample

BODY = "amount=1&currency=cny&description=Tea"


def loads(installation: Installation) -> dict[str, Load]:
    """Many wallets, and one that everybody spends from."""
    wallets = installation.wallets["cny"]
    return {
        name: Load(
            installation.url,
            installation.key,
            installation.lines(name, [(f"/v1/wallets/{wallet}/spend", BODY) for wallet in some]),
        )
        for name, some in {"spend": wallets, "spend hot": wallets[:1]}.items()
    }


def measure(installation: Installation, load: Load, seconds: float) -> Sample:
    """Send for a while; every request must have been accepted."""
    pids = {"postgres": installation.postgres.pid or 0, **installation.pids}
    meter = Meter(pids)
    sent = send_for(load, seconds)
    cpu = meter.stop_each(sent.requests)
    assert sent.refused == 0, f"{sent.refused} of {sent.requests} were refused"
    return Sample(
        sent.requests / sent.seconds, sent.p50_ms, sent.p99_ms, {**cpu, "load": sent.cpu_us}
    )
