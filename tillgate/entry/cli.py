"""The `tillgate` command. Each subcommand is a few lines that call a room.

Rooms are imported when their command runs, through one table, so that `--help` is quick and a
supervisor stays small.
"""

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast

import click
import msgspec

from tillgate.entry import local_database, supervisor, troubles
from tillgate.entry.children import CHECKOUT
from tillgate.entry.exits import Exit
from tillgate.entry.options import Group, Moment, as_asked, merchant_option
from tillgate.entry.ports import PORT_HELP
from tillgate.entry.report import in_words
from tillgate.runtime.settings import Settings, load

ROOMS = {
    "serve": "tillgate.entry.serve:run",
    "worker": "tillgate.entry.worker:run",
    "migrate": "tillgate.runtime.migrations:migrate",
    "pending": "tillgate.runtime.migrations:pending",
    "doctor": "tillgate.entry.doctor:run",
    "seed": "tillgate.entry.seed:run",
    "keys list": "tillgate.entry.keys:list_keys",
    "keys create": "tillgate.entry.keys:create_key",
    "keys revoke": "tillgate.entry.keys:revoke_key",
    "merchants list": "tillgate.entry.accounts:list_merchants",
    "merchants create": "tillgate.entry.accounts:create_merchant",
    "providers list": "tillgate.entry.accounts:list_providers",
    "providers put": "tillgate.entry.accounts:put_provider",
    "books verify": "tillgate.entry.books:verify",
    "books balance": "tillgate.entry.books:balance",
    "breaks list": "tillgate.entry.breaks:listed",
    "breaks resolve": "tillgate.entry.breaks:resolve",
    "breaks ask": "tillgate.entry.breaks:ask",
    "replay webhook": "tillgate.entry.replay:webhook",
    "replay endpoint": "tillgate.entry.replay:endpoint",
    "replay notice": "tillgate.entry.replay:notice",
}

EXIT_CODES = """
\b
Exit codes:
  0  it was done
  1  it was refused, or a check failed
  2  the command or a setting is wrong
  3  this machine is in the way: a port is taken, the disk is full, another version's data
  4  the database cannot be reached, or is not set up

\b
Settings come from TILLGATE_SECTION__NAME in the environment, over the TOML file
named by TILLGATE_CONFIG, over the ports that `up` last took on this folder.
With no TILLGATE_DATABASE_URL an embedded PostgreSQL is run.
"""

as_json = click.option("--json", "as_json", is_flag=True, help="Write one line of JSON to stdout.")


@click.group(cls=Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="tillgate")
@click.pass_context
def cli(context: click.Context) -> None:
    """Tillgate: a payment gateway with wallets, on books that cannot lie.

    \b
    tillgate up                        everything, with a demo merchant and pretend providers
    tillgate doctor --json             is every cent where it should be?
    tillgate keys create --mode test   a new API key
    """
    context.obj = context.obj or load()


@cli.command()
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), help=PORT_HELP)
@click.option("--no-simulators", is_flag=True, help="Leave the pretend providers out.")
@click.option("--stats", is_flag=True, help="Show the memory of each process once all is up.")
@click.option("-v", "--verbose", is_flag=True, help="Show what every process writes.")
@as_json
@click.pass_obj
def up(settings: Settings, **given: Any) -> None:
    """Run everything: database, migrations, simulators, demo merchant, API and worker.

    \b
    tillgate up
    tillgate up --port 9000 --data second    beside the first one, which has 8080 and ./data
    tillgate up --json | head -1 | jq .links

    Ctrl-C ends all of it; the next `up` goes on with the same data, on the same ports unless told
    otherwise. Logs are in DIR/logs.
    """
    options = supervisor.Options(
        as_json=given["as_json"], is_verbose=given["verbose"], with_stats=given["stats"]
    )
    sys.exit(supervisor.up(as_asked(settings, given), options))


@cli.command()
@click.pass_obj
def serve(settings: Settings) -> None:
    """Run the API and the pages alone; a worker must run beside it.

    \b
    TILLGATE_DATABASE_URL=postgresql://... tillgate serve
    """
    _with_database(settings, lambda reachable: _call("serve", reachable))


@cli.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Run the worker alone: notices, look-ups, webhooks, schedules.

    \b
    TILLGATE_DATABASE_URL=postgresql://... tillgate worker
    """
    _with_database(settings, lambda reachable: _call("worker", reachable))


@cli.command()
@click.option(
    "--check", is_flag=True, help="Change nothing; exit with 1 if a migration is missing."
)
@as_json
@click.pass_obj
def migrate(settings: Settings, *, check: bool, as_json: bool) -> None:
    """Bring the database's schema up to date; safe to run at any time, by several at once.

    \b
    tillgate migrate
    tillgate migrate --check || echo "migrate before you deploy"
    """
    door = "pending" if check else "migrate"
    rights = {"owner": True, "may_make": not check}
    names = _with_database(
        settings, lambda reachable: _call(door, reachable.database.url), **rights
    )
    _show({"pending" if check else "applied": names}, as_json=as_json)
    sys.exit(Exit.REFUSED if check and names else Exit.OK)


@cli.command()
@as_json
@click.pass_obj
def doctor(settings: Settings, *, as_json: bool) -> None:
    """Check every invariant of the money; exit with 1 and the query that finds the row if not so.

    \b
    tillgate doctor
    tillgate doctor --json | jq .findings
    """
    sys.exit(_with_database(settings, lambda reachable: _call("doctor", reachable, json=as_json)))


@cli.command()
@as_json
@click.pass_obj
def seed(settings: Settings, *, as_json: bool) -> None:
    """Make the demo merchant with its keys and providers, unless it is there already.

    \b
    tillgate seed --json | jq -r .secret_key
    """
    _ask(settings, "seed", as_json=as_json)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def simulate(settings: Settings, words: tuple[str, ...]) -> None:
    """Run the pretend Alipay, WeChat Pay and card provider alone; WORDS are handed on to them.

    \b
    tillgate simulate
    tillgate simulate --seed 7 --speed 10
    """
    command = [*supervisor.simulators_words(settings), *words]
    ended = subprocess.run(command, cwd=CHECKOUT, check=False).returncode
    sys.exit(Exit.OK if ended == 0 else Exit.REFUSED)


@cli.group()
def keys() -> None:
    """List, make and revoke a merchant's API keys."""


@keys.command("list")
@merchant_option("One merchant's only.")
@as_json
@click.pass_obj
def list_keys(settings: Settings, *, merchant: str | None, as_json: bool) -> None:
    """List keys without their secrets, which nobody can read back, and when each was last used.

    \b
    tillgate keys list --json | jq '.[] | select(.last_used_at == null) | .id'
    """
    _ask(settings, "keys list", merchant=merchant, as_json=as_json)


@keys.command("create")
@merchant_option()
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@as_json
@click.pass_obj
def create_key(settings: Settings, *, merchant: str | None, mode: str, as_json: bool) -> None:
    """Make a secret key and show it, this once.

    \b
    tillgate keys create --merchant acct_... --mode live
    """
    _ask(settings, "keys create", merchant=merchant, mode=mode, as_json=as_json)


@keys.command("revoke")
@click.argument("key_id")
@as_json
@click.pass_obj
def revoke_key(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """Make a key useless from now on."""
    _ask(settings, "keys revoke", key_id, as_json=as_json)


@cli.group()
def merchants() -> None:
    """List and open merchants."""


@merchants.command("list")
@as_json
@click.pass_obj
def list_merchants(settings: Settings, *, as_json: bool) -> None:
    """List merchants; test mode and live mode share the account's name."""
    _ask(settings, "merchants list", as_json=as_json)


@merchants.command("create")
@click.argument("name")
@click.option("--currency", metavar="CODE", default="cny", show_default=True)
@as_json
@click.pass_obj
def create_merchant(settings: Settings, *, name: str, currency: str, as_json: bool) -> None:
    """Open a merchant; then give it keys, and accounts at providers.

    \b
    tillgate merchants create "Corner Bakery" --currency usd
    """
    _ask(settings, "merchants create", name=name, currency=currency, as_json=as_json)


@cli.group()
def providers() -> None:
    """What a merchant has at Alipay, WeChat Pay and Stripe."""


@providers.command("list")
@merchant_option()
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@as_json
@click.pass_obj
def list_providers(settings: Settings, *, merchant: str | None, mode: str, as_json: bool) -> None:
    """List a merchant's accounts at providers, without their secrets."""
    _ask(settings, "providers list", merchant=merchant, mode=mode, as_json=as_json)


@providers.command("put")
@click.argument("provider", type=click.Choice(["alipay", "wechat_pay", "stripe"]))
@click.argument("config", type=click.File("rb"), default="-")
@merchant_option()
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@as_json
@click.pass_obj
def put_provider(settings: Settings, *, as_json: bool, **given: Any) -> None:
    """Check and keep a merchant's settings at PROVIDER, read as JSON from CONFIG or stdin.

    \b
    tillgate providers put stripe --mode live < stripe.json

    Shows where the provider is to send its notices. Takes effect within seconds.
    """
    words = given.pop("provider"), given.pop("config").read()
    _ask(settings, "providers put", *words, as_json=as_json, **given)


@cli.group()
def books() -> None:
    """Prove that the books were not changed, and ask them about any past moment."""


@books.command()
@as_json
@click.pass_obj
def verify(settings: Settings, *, as_json: bool) -> None:
    """Recompute every sealed batch of journals; exit with 1 and name the first changed row.

    \b
    tillgate books verify
    """
    door = "books verify"
    found = msgspec.to_builtins(_with_database(settings, lambda reachable: _call(door, reachable)))
    _show(found, as_json=as_json)
    sys.exit(Exit.OK if isinstance(found, dict) and found.get("ok") else Exit.REFUSED)


@books.command()
@click.argument("code")
@click.option("--at", type=Moment(), metavar="MOMENT", help="Unix seconds or ISO 8601 [now].")
@merchant_option()
@click.option("--mode", type=click.Choice(["test", "live"]), default="test", show_default=True)
@as_json
@click.pass_obj
def balance(settings: Settings, *, code: str, as_json: bool, **given: Any) -> None:
    """Show where the account CODE stood at a moment, in minor units: credits less debits.

    \b
    tillgate books balance wallet:wal_...:principal --at 2026-01-31T23:59:59+08:00
    """
    _ask(settings, "books balance", code, **given, as_json=as_json)


@cli.group()
def breaks() -> None:
    """Settle what a provider says otherwise than we do."""


@breaks.command("list")
@click.option("--all", "with_resolved", is_flag=True, help="Those that are resolved, too.")
@as_json
@click.pass_obj
def list_breaks(settings: Settings, *, with_resolved: bool, as_json: bool) -> None:
    """List breaks, newest first: what we had, what the provider said."""
    _ask(settings, "breaks list", as_json=as_json, with_resolved=with_resolved)


@breaks.command("resolve")
@click.argument("break_id")
@click.option("--note", required=True, help="What was found, and by whom.")
@click.option("--returned", is_flag=True, help="The payer has the money back: end the payment.")
@as_json
@click.pass_obj
def resolve_break(settings: Settings, break_id: str, *, as_json: bool, **given: Any) -> None:
    """Note what was found, which closes the break.

    \b
    tillgate breaks resolve brk_... --returned --note "9.90 paid for 10.00, refunded there. Li"
    """
    _ask(settings, "breaks resolve", break_id, **given, as_json=as_json)


@breaks.command("ask")
@click.argument("break_id")
@as_json
@click.pass_obj
def ask_about_break(settings: Settings, break_id: str, *, as_json: bool) -> None:
    """Let the worker ask the provider once more, now, and do what follows."""
    _ask(settings, "breaks ask", break_id, as_json=as_json)


@cli.group()
def replay() -> None:
    """Send or apply again what was already sent or received."""


@replay.command("webhook")
@click.argument("event_id")
@click.option("--endpoint", metavar="ID", help="To one endpoint only.")
@as_json
@click.pass_obj
def replay_webhook(
    settings: Settings, *, event_id: str, endpoint: str | None, as_json: bool
) -> None:
    """Deliver an event to the merchant's endpoints once more.

    \b
    tillgate replay webhook evt_...
    """
    _ask(settings, "replay webhook", event_id, endpoint=endpoint, as_json=as_json)


@replay.command("endpoint")
@click.argument("endpoint_id")
@click.option(
    "--since", type=Moment(), metavar="MOMENT", required=True, help="As for `books balance`."
)
@click.option("--until", type=Moment(), metavar="MOMENT", help="The same [now].")
@as_json
@click.pass_obj
def replay_endpoint(settings: Settings, endpoint_id: str, *, as_json: bool, **given: Any) -> None:
    """Deliver to an endpoint once more what happened in a span of time, as far as it listens.

    \b
    tillgate replay endpoint we_... --since 2026-01-31T08:00:00+08:00
    """
    _ask(settings, "replay endpoint", endpoint_id, as_json=as_json, **given)


@replay.command("notice")
@click.argument("notice_id")
@as_json
@click.pass_obj
def replay_notice(settings: Settings, *, notice_id: str, as_json: bool) -> None:
    """Apply a provider's stored notice once more; what it already did is not done twice.

    \b
    tillgate replay notice ntc_...
    """
    _ask(settings, "replay notice", notice_id, as_json=as_json)


def main() -> NoReturn:
    """Run the command line; every expected trouble is one sentence and an exit code."""
    if sys.flags.optimize:
        _fail("Asserts guard the books; Python's -O and PYTHONOPTIMIZE are refused.", Exit.USAGE)
    try:
        cli.main(prog_name="tillgate", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(Exit.REFUSED)
    except Exception as error:
        trouble = troubles.told(error)
        if trouble is None:
            raise
        _fail(*trouble)
    sys.exit(Exit.OK)


def _fail(message: str, code: Exit) -> NoReturn:
    click.echo(f"tillgate: {message}", err=True)
    sys.exit(code)


def _with_database(settings: Settings, ask: Callable[[Settings], Any], **rights: bool) -> Any:
    with local_database.at_hand(settings, _progress, **rights) as reachable:
        return ask(reachable)


def _ask(settings: Settings, door: str, *words: Any, as_json: bool, **given: Any) -> None:
    """Carry out a command on the database, and show what came of it."""
    _show(
        _with_database(settings, lambda at_hand: _call(door, at_hand, *words, **given)),
        as_json=as_json,
    )


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _call(door: str, *given: Any, **named: Any) -> Any:
    """Call a room's function, which may be a coroutine."""
    module, function = ROOMS[door].split(":")
    answer = getattr(importlib.import_module(module), function)(*given, **named)
    return asyncio.run(answer) if inspect.iscoroutine(answer) else answer


def _show(answer: Any, *, as_json: bool) -> None:
    plain = msgspec.to_builtins(answer)
    if as_json:
        click.echo(json.dumps(plain))
        return
    rows = cast("list[dict[str, Any]]", plain if isinstance(plain, list) else [plain])
    shown = [
        "\n".join(f"{name:<18} {in_words(value)}" for name, value in row.items()) for row in rows
    ]
    click.echo("\n\n".join(shown) or "none")


if __name__ == "__main__":
    main()
