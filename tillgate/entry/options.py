"""What commands take: all of them `--data`, before them or after; `up` what it runs, and where."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from tillgate.entry.ports import with_kept, with_port
from tillgate.runtime.embedded_errors import EmbeddedProblem
from tillgate.runtime.settings import Settings, load

Decorator = Callable[[Any], Any]


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


class NoFolder(EmbeddedProblem):
    """Something else stands where the folder of the installation is to be."""


def _check_folder(folder: Path) -> None:
    """Refuse a file in the place of the folder, which every step after would stumble over."""
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NoFolder(
            f"{folder} cannot hold an installation: {nearest} is no folder. Choose a folder with"
            " --data (the setting is TILLGATE_DATA_DIR)."
        )


class Command(click.Command):
    """A command that takes `--data`, and has the settings of the installation there."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.params.append(_data_option())

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; by now the last `--data` has been heard."""
        settings: Settings = ctx.obj
        _check_folder(settings.data_path)
        ctx.obj = with_kept(settings)
        return super().invoke(ctx)


class Group(click.Group):
    """Commands that take `--data`, as the group itself does."""

    command_class = Command
    group_class = type

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.params.append(_data_option())


def merchant_option(text: str = "Whose; the only one there is if left out.") -> Decorator:
    """Take the merchant by its account, as `tillgate merchants list` shows it."""
    return click.option("--merchant", metavar="acct_...", help=text)


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


def as_asked(settings: Settings, given: dict[str, Any]) -> Settings:
    """Return the settings that `up` was asked to run with by its options."""
    replace = msgspec.structs.replace
    if given["port"]:
        # Where things listened before counts no more: all follow the new port.
        settings = with_port(replace(load(), data_dir=settings.data_dir), given["port"])
    if given["no_simulators"]:
        settings = replace(settings, simulators=replace(settings.simulators, enabled=False))
    return settings
