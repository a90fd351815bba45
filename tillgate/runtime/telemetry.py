"""Metrics of the money path, for Prometheus. Every label takes its values from a closed set.

Counters and histograms live in the process that does the work, so each process shows its own.
Gauges that are true of the whole installation are set by `entry.doctor` from the database, and
shown by the worker alone: another process would show zeros. Nothing here is per merchant: a scrape
stays the same size whoever signs up.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

#: Not the library's global one, so that importing this module twice in tests is harmless.
REGISTRY: Final = CollectorRegistry()
INSTALLATION: Final = CollectorRegistry()
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"tillgate_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"tillgate_{name}", text, labels, registry=INSTALLATION)


def _histogram(
    name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
) -> Histogram:
    return Histogram(f"tillgate_{name}", text, labels, buckets=buckets, registry=REGISTRY)


ATTEMPTS: Final = _counter(
    "attempts", "What providers said of attempts to take money", "provider", "outcome"
)
REFUNDS: Final = _counter("refunds", "What became of refunds", "status")
NOTICES: Final = _counter("notices", "Notices of providers", "provider", "result")
PROVIDER_SECONDS: Final = _histogram(
    "provider_call_seconds", "Calls to providers", "provider", "operation", "result"
)
REQUEST_SECONDS: Final = _histogram(
    "request_seconds", "Requests to the API and the pages", "operation", "status"
)
LANE_BATCH: Final = _histogram(
    "lane_batch_items", "Items written by one transaction", "lane", buckets=_SIZES
)
LINES: Final = _counter("ledger_lines", "Lines written to the ledger, two postings each")
FACTS: Final = _counter("facts_relayed", "Facts heard by all their subscribers")
FACTS_PARKED: Final = _counter("facts_parked", "Facts put aside because a subscriber failed")
WEBHOOKS: Final = _counter("webhook_requests", "Requests to merchants' endpoints", "result")

CONNECTIONS: Final = Gauge(
    "tillgate_db_connections_in_use", "Database connections in use", registry=REGISTRY
)
# Of the whole installation, from the database.
UNKNOWN_OPEN: Final = _gauge("unknown_attempts", "Attempts whose outcome is not known")
UNKNOWN_AGE: Final = _gauge("unknown_attempts_oldest_seconds", "Age of the oldest of them")
UNKNOWN_REFUNDS: Final = _gauge("unknown_refunds", "Refunds whose outcome is not known")
UNKNOWN_REFUNDS_AGE: Final = _gauge("unknown_refunds_oldest_seconds", "Age of the oldest of them")
OUTBOX: Final = _gauge("outbox_facts", "Facts not yet relayed")
OUTBOX_AGE: Final = _gauge("outbox_oldest_seconds", "Age of the oldest of them")
PARKED: Final = _gauge("parked_facts", "Facts put aside and not yet heard")
INBOX: Final = _gauge("inbox_notices", "Notices stored and not yet applied")
INBOX_AGE: Final = _gauge("inbox_oldest_seconds", "Age of the oldest of them")
WEBHOOKS_DUE: Final = _gauge("webhook_deliveries_due", "Deliveries owed now")
WEBHOOKS_AGE: Final = _gauge("webhook_oldest_due_seconds", "How long the oldest has been owed")
DOCTOR: Final = _gauge("doctor_violations", "Rows that break an invariant", "check")
DOCTOR_AT: Final = _gauge("doctor_last_run_timestamp_seconds", "When the doctor last looked")

# Looking one up by its labels costs more than counting with it.
_attempts: Final = cache(ATTEMPTS.labels)
_notices: Final = cache(NOTICES.labels)
_provider_seconds: Final = cache(PROVIDER_SECONDS.labels)


def count_attempt(provider: str, outcome: str) -> None:
    """Count what a provider said of an attempt."""
    _attempts(provider, outcome).inc()


def count_notice(provider: str, result: str) -> None:
    """Count a notice: accepted or refused."""
    _notices(provider, result).inc()


def observe_call(provider: str, operation: str, result: str, seconds: float) -> None:
    """Count a call to a provider; `result` is one of `connectors.client.Observe`."""
    _provider_seconds(provider, operation, result).observe(seconds)


def observe_request(operation: str | None, status: int, seconds: float) -> None:
    """Count a request by its operation (never its path), None where there is no such address."""
    _request_seconds(operation or "none", status // 100).observe(seconds)


@cache
def _request_seconds(operation: str, status_class: int) -> Histogram:
    return REQUEST_SECONDS.labels(operation, f"{status_class}xx")


@cache
def collect_process_metrics() -> None:
    """Add memory, CPU, file descriptors and garbage collection of this process."""
    ProcessCollector(registry=REGISTRY)
    PlatformCollector(registry=REGISTRY)
    GCCollector(registry=REGISTRY)


def render(*, installation: bool = True) -> bytes:
    """Return this process's metrics in Prometheus's text format, and the whole installation's."""
    whole = generate_latest(INSTALLATION) if installation else b""
    return generate_latest(REGISTRY) + whole
