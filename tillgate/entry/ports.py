"""The ports of an installation: what `up --port` moves, and what the data folder keeps of them.

`up` writes down which ports it took, so that every other command, from whatever shell, speaks of
this installation and not of one on the ports that are usual. What is set stands above that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from tillgate.runtime.ports import HIGHEST_PORT, is_reserved
from tillgate.runtime.private_files import write_private
from tillgate.runtime.settings import Settings, SettingsRefused, load


@dataclass(frozen=True, slots=True)
class Follower:
    """A port that follows the API's, and where its setting is."""

    section: str
    name: str
    distance: int


_API: Final = Follower("http", "port", 0)
_DATABASE: Final = Follower("database", "port", 2)
#: As far from the API's port as their defaults are, but for the database's.
FOLLOWERS: Final = (
    Follower("metrics", "worker_port", 1),
    _DATABASE,
    Follower("simulators", "alipay_port", 11),
    Follower("simulators", "wechat_port", 12),
    Follower("simulators", "card_port", 13),
    Follower("simulators", "shop_port", 14),
)
PORT_HELP: Final = (
    "Port of the API and the pages [8080, or the last one taken on this folder]. What else listens"
    " follows, unless it has a setting of its own: the worker's metrics on N+1, PostgreSQL on N+2"
    " (on 54329 where N+2 is open to root alone), the simulators of Alipay, WeChat Pay and cards on"
    " N+11 to N+13, the demo shop on N+14."
)

_Kept = dict[str, dict[str, Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_PORT)]]]


def with_port(settings: Settings, port: int) -> Settings:
    """Return settings that listen on `port` and near it; what was set otherwise stays.

    PostgreSQL never runs as root, so it does not follow to where only root may listen.

    >>> with_port(Settings(), 9000).simulators.shop_port
    9014
    """
    usual = Settings()
    settings = _moved(settings, _API, port)
    for one in FOLLOWERS:
        to = port + one.distance
        if _port(settings, one) == _port(usual, one) and not (one is _DATABASE and is_reserved(to)):
            settings = _moved(settings, one, to)
    return settings


def keep(settings: Settings) -> None:
    """Write down which ports this installation takes."""
    kept: _Kept = {}
    for one in (_API, *FOLLOWERS):
        if _port(settings, one) <= HIGHEST_PORT:
            kept.setdefault(one.section, {})[one.name] = _port(settings, one)
    text = msgspec.json.format(msgspec.json.encode(kept), indent=2)
    write_private(_file(settings.data_path), text.decode() + "\n")


def with_kept(settings: Settings, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this folder: what was kept of its ports stands below what is set."""
    try:
        kept = _read(_file(settings.data_path))
    except PermissionError:
        if not settings.database.url:
            raise
        kept = {}  # with a database of one's own, what another user keeps here is none of ours
    return msgspec.structs.replace(load(environ, kept=kept), data_dir=settings.data_dir)


def _read(file: Path) -> _Kept:
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise _unreadable(file, str(error)) from None
    known = {(one.section, one.name) for one in (_API, *FOLLOWERS)}
    for section, names in kept.items():
        for name in names:
            if (section, name) not in known:
                raise _unreadable(file, f"{section}.{name} is no port of ours")
    return kept


def _unreadable(file: Path, reason: str) -> SettingsRefused:
    return SettingsRefused(
        f"{file} does not say which ports this installation has ({reason}):"
        " remove it, and start `tillgate up` once more with the --port it had."
    )


def _file(data: Path) -> Path:
    return data / "ports.json"


def _port(settings: Settings, one: Follower) -> int:
    return getattr(getattr(settings, one.section), one.name)


def _moved(settings: Settings, one: Follower, port: int) -> Settings:
    section = msgspec.structs.replace(getattr(settings, one.section), **{one.name: port})
    return msgspec.structs.replace(settings, **{one.section: section})
