"""Run all simulators: `python -m simulators --keys FILE --data DIR --alipay-port P …`.

Prints one line of JSON when every port answers, and ends cleanly on SIGTERM and SIGINT.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from simulators.common.forgetting import KEEP_ORDERS
from simulators.running import PROVIDERS, Plan, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Start, say where, run until told to stop."""
    plan = read_plan(arguments)
    try:
        uvloop.run(serve(plan))
    except OSError as error:
        sys.stderr.write(f"simulators: {error}\n")
        return 1
    return 0


def read_plan(arguments: Sequence[str] | None = None) -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    for name in PROVIDERS:
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--control-port", type=int, help="one port for all control APIs")
    parser.add_argument("--shop-port", type=int, help="the merchant's own backend")
    parser.add_argument("--data", type=Path, help="folder for the books; without it, memory only")
    parser.add_argument("--keys", type=Path, required=True, help="file of keys, made when missing")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster notices retry")
    parser.add_argument(
        "--keep-orders",
        type=int,
        default=KEEP_ORDERS,
        help="newest orders that each provider never forgets; 0 keeps all (default: %(default)s)",
    )
    parser.add_argument("--merchant", action="append", help="merchant's name; may be repeated")
    read = parser.parse_args(arguments)
    return Plan(
        keys=read.keys,
        data=read.data,
        host=read.host,
        ports=tuple((name, getattr(read, f"{name}_port")) for name in PROVIDERS),
        control_port=read.control_port,
        shop_port=read.shop_port,
        seed=read.seed,
        speed=read.speed,
        keep_orders=read.keep_orders,
        merchants=tuple(read.merchant or ["demo"]),
    )


async def serve(plan: Plan) -> None:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    running = await run(plan)
    # What has been imported stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    ready: dict[str, object] = {
        name: {"url": simulator.server.url, "phone": f"{simulator.server.url}/phone/"}
        for name, simulator in running.simulators.items()
    }
    if running.control is not None:
        ready["control"] = {"url": running.control.url}
    if running.shop is not None:
        ready["shop"] = {"url": running.shop.server.url}
    ready["merchants_file"] = str(running.merchants_file)
    sys.stdout.write(msgspec.json.encode({"ready": ready}).decode() + "\n")
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        await running.stop()


if __name__ == "__main__":
    raise SystemExit(main())
