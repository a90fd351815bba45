"""Settings: one frozen tree, built at the entry and passed down as arguments.

Read from the environment (`TILLGATE_…`) over an optional TOML file (`TILLGATE_CONFIG`), over the
ports that the installation keeps. The only module that looks at the environment. Every
setting has a default that works on one machine.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import msgspec


class SettingsRefused(Exception):
    """A setting has a value that cannot be used; the message names it."""


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the database is. An empty `url` means: run the embedded one."""

    #: `postgresql://…` of a server that is there already.
    url: str = ""
    #: For migrations, when the application's own login may not change the schema.
    migrate_url: str = ""
    #: What the application's connections become, whoever logged in: a role with few rights.
    role: str = "tillgate_app"
    #: Connections of each process.
    pool_size: int = 8
    #: Port of the embedded one, on loopback.
    port: int = 54329
    #: Memory of the embedded one.
    shared_buffers: str = "256MB"
    #: Whose programs the embedded one runs: the system's, the wheel's, or the first found.
    binaries: Literal["any", "system", "wheel"] = "any"


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The listener of the API and the pages."""

    #: Where to listen; put something that speaks TLS in front of any address but loopback.
    host: str = "127.0.0.1"
    #: Also `tillgate up --port`, which the other ports follow.
    port: int = 8080
    #: How the outside world reaches us: the base of notice, return and page addresses.
    public_url: str = ""
    #: A request with a larger body is refused.
    max_body_bytes: int = 1_048_576
    #: Requests of one key; above it the answer is 429.
    rate_per_second: int = 10_000

    @property
    def base_url(self) -> str:
        """`public_url`, or the listener's own address."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The pretend providers for test mode."""

    #: Run them, and point the demo merchant at them.
    enabled: bool = True
    host: str = "127.0.0.1"
    alipay_port: int = 8091
    wechat_port: int = 8092
    card_port: int = 8093
    #: The demo merchant's own backend, which receives our webhooks.
    shop_port: int = 8094
    #: Of the faults: the same seed, the same faults.
    seed: int = 1
    #: How many times sooner notices are repeated and refunds finish.
    speed: float = 1.0


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of every call to a provider."""

    #: Past it the attempt was not sent, and another provider may be asked.
    connect_timeout_seconds: float = 5.0
    #: Past it the attempt is unknown, and looked up.
    total_timeout_seconds: float = 20.0
    #: To all providers together.
    max_connections: int = 200
    #: A longer answer is cut off; bills are the longest.
    max_answer_bytes: int = 33_554_432


class PaymentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines of the money path."""

    #: An unpaid order is closed at the provider after this.
    order_lifetime_seconds: int = 900
    #: The first look-up of an attempt nothing was heard of; each next one waits longer.
    look_up_first_seconds: float = 5.0
    #: The longest wait between two look-ups.
    look_up_most_seconds: float = 3600.0
    #: How often the worker looks for what is due.
    worker_poll_seconds: float = 0.25
    #: A notice that so much was paid, in minor units of its currency, or more, or that a refund of so
    #: much was made or failed, is believed only when the provider says so itself.
    ask_from: int = 1_000_000
    #: Providers' notices that have been dealt with are deleted after this many days.
    notices_kept_days: int = 90


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries to merchants."""

    #: An endpoint that has not answered by then has failed this try.
    timeout_seconds: float = 15.0
    #: How long a delivery is tried.
    give_up_after_seconds: int = 259_200
    #: Deliveries under way to one endpoint.
    max_in_flight: int = 64
    #: Webhooks to loopback and private addresses are refused unless this says otherwise.
    allow_private_addresses: bool = True


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`/metrics`: who may read it, and where the worker shows its own."""

    #: Whoever sends it as `Authorization: Bearer …` may read; without one only this machine may.
    token: str = ""
    #: Where the worker listens for `/metrics`, `/healthz` and `/readyz`.
    worker_host: str = "127.0.0.1"
    #: 0: the worker does not listen. A second worker on a machine needs a port of its own.
    worker_port: int = 8081


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Structured logs."""

    #: From how serious on lines are written.
    level: Literal["debug", "info", "warning", "error"] = "info"
    #: json for programs, anything else for a person.
    format: str = "json"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    #: Folder of everything that is kept outside the database; also `--data`.
    data_dir: str = "data"
    database: DatabaseSettings = DatabaseSettings()
    http: HttpSettings = HttpSettings()
    simulators: SimulatorSettings = SimulatorSettings()
    providers: ProviderSettings = ProviderSettings()
    payments: PaymentSettings = PaymentSettings()
    webhooks: WebhookSettings = WebhookSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @property
    def data_path(self) -> Path:
        """The folder that holds everything this installation keeps outside the database."""
        return Path(self.data_dir).resolve()


def load(
    environ: Mapping[str, str] | None = None,
    *,
    kept: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Build the tree: defaults, then the TOML file, then `TILLGATE_SECTION__NAME` variables.

    `kept` is what an installation knows of itself: it stands above the defaults alone.

    >>> load({"TILLGATE_HTTP__PORT": "9000"}).http.port
    9000
    """
    source = os.environ if environ is None else environ
    tree = _from_file(source.get("TILLGATE_CONFIG", ""))
    for name, value in source.items():
        if name.startswith("TILLGATE_") and name != "TILLGATE_CONFIG":
            _place(tree, name.removeprefix("TILLGATE_").lower().split("__"), value)
    if "database_url" in tree:
        tree.setdefault("database", {})["url"] = tree.pop("database_url")
    for name, values in (kept or {}).items():
        section = tree.setdefault(name, {})
        if isinstance(section, dict):
            tree[name] = {**values, **cast("dict[str, Any]", section)}
    try:
        return _checked(msgspec.convert(_known(tree), Settings, strict=False))
    except msgspec.ValidationError as error:
        raise _refused(str(error), tree) from None


#: Values that are nobody's business, not even in an error.
_SECRET: Final = frozenset({"url", "migrate_url", "token"})
_WANTED: Final = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def _refused(said: str, tree: Mapping[str, Any]) -> SettingsRefused:
    """Name the variable, its value and what was expected, in the words of who set it."""
    text, _, path = said.partition(" - at `$.")
    names = path.rstrip("`").split(".")
    value: Any = tree
    for name in names:
        found = isinstance(value, Mapping)
        value = cast("Mapping[str, Any]", value).get(name) if found else None
    shown = "its value" if names[-1] in _SECRET else repr(value)
    wanted = next((words for kind, words in _WANTED.items() if f"Expected `{kind}`" in text), None)
    reason = f"must be {wanted}, not {shown}" if wanted else f"cannot be {shown}"
    return SettingsRefused(f"TILLGATE_{'__'.join(names).upper()} {reason}.")


def _checked(settings: Settings) -> Settings:
    """Refuse an address that no driver could read, without showing what may hold a password."""
    for name in ("url", "migrate_url"):
        url: str = getattr(settings.database, name)
        if url and not _is_address(url):
            raise SettingsRefused(
                f"TILLGATE_DATABASE__{name.upper()} must be an address like"
                " postgresql://user:password@host:5432/name."
            )
    return settings


def _is_address(url: str) -> bool:
    try:
        urlsplit(url)  # what the driver reads it with; not every Python takes a list of hosts
    except ValueError:
        return False
    scheme, _, rest = url.partition("://")
    hosts = re.split(r"[/?]", rest)[0].rpartition("@")[2]
    ports = [host.rpartition("]")[2].rpartition(":")[2] for host in hosts.split(",") if ":" in host]
    return scheme in {"postgresql", "postgres"} and all(
        port.isdecimal() or not port for port in ports
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment in which a child process reads this very tree.

    >>> load(environment(load({"TILLGATE_HTTP__PORT": "9000"}))).http.port
    9000
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TILLGATE_")}
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    return {**kept, **dict(_flat("TILLGATE_", tree))}


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        path = f"{prefix}{name.upper()}"
        if isinstance(value, Mapping):
            yield from _flat(f"{path}__", cast("Mapping[str, Any]", value))
        else:
            yield path, str(value)


def _from_file(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsRefused(f"TILLGATE_CONFIG: {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsRefused(f"TILLGATE_CONFIG: {path}: {error}") from None


def _place(tree: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def _known(tree: dict[str, Any]) -> dict[str, Any]:
    """Refuse names that mean nothing, so that a typing mistake is not silently ignored."""
    sections = {field.name: field for field in msgspec.structs.fields(Settings)}
    for name, value in tree.items():
        if name not in sections:
            raise SettingsRefused(f"unknown setting {name!r}")
        if isinstance(value, dict):
            section = sections[name].type
            names = {field.name for field in msgspec.structs.fields(section)}
            unknown = sorted(set(cast("dict[str, Any]", value)) - names)
            if unknown:
                raise SettingsRefused(f"unknown setting {name}.{unknown[0]}")
    return tree
