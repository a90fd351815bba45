"""What a Prometheus reads: each process's own metrics, and the installation's where they are true."""

import os
import socket
import time

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.entry.processes import ask, running, tillgate


def scraped(port: str) -> dict[str, float]:
    """Return the samples as a Prometheus reads them."""
    status, text = ask(port, "/metrics")
    assert status == 200
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a name stands twice"
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_api_and_worker_show_their_own_and_the_worker_the_installations(
    environment: dict[str, str], db_url: str
) -> None:
    owner = await asyncpg.connect(db_url)
    try:
        await owner.execute(
            "INSERT INTO runtime.parked_facts (merchant_id, fact_id, tries, next_at, note, parked_at)"
            " VALUES (3, 'evt_1', 1, now() + interval '1 hour', 'out of order', now())"
        )
    finally:
        await owner.close()
    with running("serve", environment), running("worker", environment):
        api = scraped(environment["TILLGATE_HTTP__PORT"])
        worker = scraped(environment["TILLGATE_METRICS__WORKER_PORT"])

    assert "tillgate_parked_facts" not in api, "it does not know, so it does not say 0"
    assert worker["tillgate_parked_facts"] == 1
    for shown in (api, worker):
        assert shown["process_resident_memory_bytes"] > 0
        assert "tillgate_db_connections_in_use" in shown


def test_behind_a_proxy_the_token_is_asked_for_by_both(environment: dict[str, str]) -> None:
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    right, wrong = ({"Authorization": f"Bearer {token}"} for token in ("m3trics", "m3tric"))
    with running("serve", environment), running("worker", environment):
        for name in ("TILLGATE_HTTP__PORT", "TILLGATE_METRICS__WORKER_PORT"):
            port = environment[name]
            assert ask(port, "/metrics")[0] == 200
            assert ask(port, "/metrics", proxied)[0] == 403
            assert ask(port, "/metrics", {**proxied, **wrong})[0] == 403
            assert ask(port, "/metrics", {**proxied, **right})[0] == 200


def test_the_worker_answers_health_and_nothing_else(environment: dict[str, str]) -> None:
    port = environment["TILLGATE_METRICS__WORKER_PORT"]
    with running("worker", environment):
        assert ask(port, "/healthz") == (200, '{"status":"alive"}')
        assert ask(port, "/v1/balance")[0] == 404
        while ask(port, "/readyz")[0] != 200:
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "setting", "use"),
    [
        ("serve", "TILLGATE_HTTP__PORT", "the API and the pages"),
        ("worker", "TILLGATE_METRICS__WORKER_PORT", "the worker's metrics"),
    ],
)
def test_a_taken_port_is_said_plainly(
    environment: dict[str, str], name: str, setting: str, use: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        done = tillgate({**environment, setting: port}, name)

    assert done.returncode == 3
    assert f"Port {port} on 127.0.0.1, wanted for {use}, is taken by" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert setting in done.stderr
    assert "Traceback" not in done.stderr
