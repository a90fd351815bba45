"""What every command takes, before it or after it, and what `up --port` moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from tillgate.runtime.settings import Settings, load


def _choose_data(context: click.Context, _: click.Parameter, folder: str | None) -> None:
    """Put the folder into the settings of this command and of those below it; the nearest wins."""
    if folder:
        settings: Settings = context.obj or load()
        context.obj = msgspec.structs.replace(settings, data_dir=folder)


def _data_option() -> click.Option:
    return click.Option(
        ["--data"],
        metavar="DIR",
        help="Folder of everything this installation keeps [data].",
        expose_value=False,
        callback=_choose_data,
    )


class Command(click.Command):
    """A command that takes `--data`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.params.append(_data_option())


class Group(click.Group):
    """Commands that take `--data`, as the group itself does."""

    command_class = Command
    group_class = type

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.params.append(_data_option())


class Moment(click.ParamType[datetime]):
    """A moment: seconds since the Unix epoch, or ISO 8601, in UTC where no zone is named."""

    name = "moment"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Return the moment; one in whole seconds is over when all of its second is."""
        try:
            read = (
                datetime.fromtimestamp(int(value), UTC)
                if str(value).isdigit()
                else datetime.fromisoformat(str(value))
            )
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is no moment: 1767225600 and 2026-01-01T08:00:00+08:00 are.", param, ctx
            )
        aware = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
        return aware if aware.microsecond else aware.replace(microsecond=999_999)


@dataclass(frozen=True, slots=True)
class Follower:
    """A port that follows the API's, and where its setting is."""

    section: str
    name: str
    distance: int


#: As far from the API's port as their defaults are, but for the database's.
FOLLOWERS: Final = (
    Follower("metrics", "worker_port", 1),
    Follower("database", "port", 2),
    Follower("simulators", "alipay_port", 11),
    Follower("simulators", "wechat_port", 12),
    Follower("simulators", "card_port", 13),
    Follower("simulators", "shop_port", 14),
)
PORT_HELP: Final = (
    "Port of the API and the pages [8080]. What else listens follows, unless it has a setting of"
    " its own: the worker's metrics on N+1, PostgreSQL on N+2, the simulators of Alipay, WeChat Pay"
    " and cards on N+11 to N+13, the demo shop on N+14."
)


def with_port(settings: Settings, port: int) -> Settings:
    """Return settings that listen on `port` and near it; what was set otherwise stays.

    >>> with_port(Settings(), 9000).simulators.shop_port
    9014
    """
    replace, usual = msgspec.structs.replace, Settings()
    settings = replace(settings, http=replace(settings.http, port=port))
    for one in FOLLOWERS:
        section = getattr(settings, one.section)
        if getattr(section, one.name) == getattr(getattr(usual, one.section), one.name):
            moved = replace(section, **{one.name: port + one.distance})
            settings = replace(settings, **{one.section: moved})
    return settings
