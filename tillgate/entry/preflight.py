"""What must be true before anything is started; every problem is named at once, with its cure."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tillgate.runtime.embedded_errors import DATABASE_PORT, DiskFull, PortReserved, PortTaken
from tillgate.runtime.ports import HIGHEST_PORT, is_forbidden, is_free, owner_of
from tillgate.runtime.settings import Settings

NEEDED_BYTES = 256 * 2**20
DATABASE = "PostgreSQL"


@dataclass(frozen=True)
class Listener:
    """A port we are going to listen on, and the setting that moves it."""

    use: str
    port: int
    setting: str
    #: Not we listen, but an ordinary user whom root lends it to.
    is_lent: bool = False


def problems(settings: Settings) -> list[str]:
    """Return what stands in the way, in sentences; nothing is changed."""
    return [*_about_the_disk(settings.data_path), *_about_ports(settings)]


def listeners(settings: Settings) -> list[Listener]:
    """Return the ports that `tillgate up` takes, the database's excepted."""
    ours = [Listener("the API and the pages", settings.http.port, "TILLGATE_HTTP__PORT")]
    if settings.metrics.worker_port:
        port, setting = settings.metrics.worker_port, "TILLGATE_METRICS__WORKER_PORT"
        ours.append(Listener("the worker's metrics", port, setting))
    if not settings.simulators.enabled:
        return ours
    simulators = settings.simulators
    return [
        *ours,
        Listener(
            "the Alipay simulator", simulators.alipay_port, "TILLGATE_SIMULATORS__ALIPAY_PORT"
        ),
        Listener(
            "the WeChat simulator", simulators.wechat_port, "TILLGATE_SIMULATORS__WECHAT_PORT"
        ),
        Listener("the card simulator", simulators.card_port, "TILLGATE_SIMULATORS__CARD_PORT"),
        Listener("the demo shop", simulators.shop_port, "TILLGATE_SIMULATORS__SHOP_PORT"),
    ]


def _about_ports(settings: Settings) -> Iterator[str]:
    seen: dict[int, str] = {}
    for listener in (*listeners(settings), *_database(settings)):
        is_database = listener.use == DATABASE
        cure = listener.setting if is_database else f"{listener.setting}, or with --port"
        if not 0 < listener.port <= HIGHEST_PORT:
            yield f"{listener.setting}={listener.port} is no port; it must be 1 to 65535."
        elif listener.port in seen:
            yield (
                f"Port {listener.port} is wanted twice: for {seen[listener.port]} and for "
                f"{listener.use} ({listener.setting})."
            )
        elif is_forbidden(listener.port, to_another=listener.is_lent):
            yield str(PortReserved(listener.port, listener.use, cure))
        elif not is_free(listener.port) and not is_database:
            yield str(PortTaken(listener.port, owner_of(listener.port), listener.use, cure))
        seen.setdefault(listener.port, listener.use)


def _database(settings: Settings) -> Iterator[Listener]:
    """The embedded database's port. Whether it is free is its own affair: it may run already."""
    if not settings.database.url and settings.database.port:
        yield Listener(DATABASE, settings.database.port, DATABASE_PORT, is_lent=os.geteuid() == 0)


def _about_the_disk(data: Path) -> Iterator[str]:
    place = data
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        yield f"{place} cannot be written to by this user; choose another with --data."
        return
    free = shutil.disk_usage(place).free
    if free < NEEDED_BYTES:
        yield str(DiskFull(place, free, NEEDED_BYTES))
