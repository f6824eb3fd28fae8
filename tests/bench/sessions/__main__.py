"""Check that balancing loses no session: official clients through every kind of balancer.

Half of the clients only poll. Each client sends numbered messages that are acknowledged and reach a partner. The
server and the clients check that each message arrives once and in order. Prints a table; the exit code is 1 if
anything is wrong.
"""

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from statistics import median

from tests.bench.sessions.scenarios import Outcome, Plan, kill_worker, rolling_restart, talk
from tests.support.forked import allow_forks
from tests.support.session_load import SessionLoad
from tests.support.session_targets import TARGETS, Target

COLUMNS = {
    "clients": "clients",
    "homes": "processes",
    "acked": "acknowledged",
    "unknown_sessions": "Session ID unknown",
    "lost": "lost",
    "doubled": "doubled",
    "disorder": "out of order",
    "reconnects": "reconnects",
    "refused": "refused",
    "not_upgraded": "not upgraded",
}
Scenario = Callable[[Target, SessionLoad, Plan], Awaitable[Outcome]]


def main() -> int:
    """Run the chosen targets one after the other; return the exit code."""
    arguments = _parse()
    plan = Plan(arguments.clients, arguments.messages, arguments.pace_ms)
    scenario: Scenario = talk
    if arguments.kill_worker:
        scenario = kill_worker
    elif arguments.rolling:
        scenario = rolling_restart
    print(f"python -m tests.bench.sessions {' '.join(sys.argv[1:])}".rstrip())
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {_packages()}")
    print(f"{scenario.__name__}: {plan.clients} clients, {plan.messages} messages each")
    print(" | ".join(["target".ljust(19), *COLUMNS.values(), "seconds"]), flush=True)
    # Four interpreters that start side by side need more than the limit on a machine with other work.
    allow_forks()
    wrong = [
        name
        for name in arguments.targets
        for _ in range(arguments.runs)
        if not asyncio.run(_run(name, scenario, plan, arguments.processes))
    ]
    print(f"WRONG: {', '.join(wrong)}" if wrong else "nothing wrong")
    return 1 if wrong else 0


async def _run(name: str, scenario: Scenario, plan: Plan, processes: int) -> bool:
    try:
        async with TARGETS[name]() as target, SessionLoad(processes) as load:
            started = time.perf_counter()
            await load.connect(target.url, plan.clients, spread=target.spread)
            outcome = await scenario(target, load, plan)
            seconds = time.perf_counter() - started
    except AssertionError as error:
        print(f"{name.ljust(19)} | {error}", flush=True)
        return False
    values = [str(outcome.sums[key]).rjust(len(title)) for key, title in COLUMNS.items()]
    print(" | ".join([name.ljust(19), *values, f"{seconds:7.1f}"]), flush=True)
    if killed := outcome.sums["killed_clients"]:
        cut = outcome.sums["cut_clients"]
        print(f"  {killed} clients were on the killed process; {cut} others had a request on its connections")
        for way, first in (("polling", 0), ("upgrading", 1)):
            waits = sorted(seconds for client, seconds in outcome.waits_s.items() if client % 2 == first)
            if waits:
                print(f"  its {way} clients knew after {median(waits):.2f} s (median), at most {waits[-1]:.2f} s")
    for fault in outcome.faults:
        print(f"  wrong: {fault}", flush=True)
    return not outcome.faults


def _packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "python-engineio", "pyzmq"))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sessions", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"any of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--clients", type=_even, default=500)
    parser.add_argument("--messages", type=int, default=50, help="per client")
    parser.add_argument("--pace-ms", type=int, default=50, help="mean pause of a client between two messages")
    parser.add_argument("--runs", type=int, default=1, help="of each target")
    parser.add_argument("--processes", type=int, default=2, help="Node.js processes for the clients")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--kill-worker", action="store_true", help="kill one server process half-way")
    group.add_argument(
        "--rolling", action="store_true", help="send SIGHUP to `zmqio serve` under load (serve-* only)"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.targets) - set(TARGETS))
    if unknown:
        parser.error(f"unknown target {', '.join(unknown)}; choose from {', '.join(TARGETS)}")
    arguments.targets = arguments.targets or list(TARGETS)
    if arguments.rolling:
        arguments.targets = [name for name in arguments.targets if name.startswith("serve-")]
    if arguments.kill_worker:
        arguments.targets = [name for name in arguments.targets if name != "direct"]
    return arguments


def _even(text: str) -> int:
    count = int(text)
    if count < 2 or count % 2:
        raise argparse.ArgumentTypeError(f"{text} is not an even number of clients")
    return count


if __name__ == "__main__":
    sys.exit(main())
