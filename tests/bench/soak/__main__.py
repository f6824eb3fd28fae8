"""Check the guarantees under faults: real nodes and brokers, and clients that check every message.

`python -m tests.bench.soak [--only node-kill,...] [--rate 5000] [--seconds S] [--quick]` runs the scenarios one by
one, about 25 seconds each. `--minutes M [--seed N]` runs random faults in rounds of about a minute. The exit code
is 1 if a message was lost, duplicated, overtaken or not reported, or if a live node was considered dead.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.bench.soak.chaos import random_fault
from tests.bench.soak.faults import FAULTS, Fault
from tests.bench.soak.netns import NotPermittedError
from tests.bench.soak.report import NAME_WIDTH, details, heading, row, summary, table_head
from tests.bench.soak.runs import FULL, QUICK, Outcome, Plan, run_fault

BROKEN = 1
STOPPED = 2
MAX_MINUTES = 120


def main() -> int:
    """Run the scenarios of the command line, and print the report."""
    arguments = _parse()
    plan = _plan(arguments)
    print(heading(plan, " ".join(["python -m tests.bench.soak", *sys.argv[1:]])))
    print(table_head(), flush=True)
    try:
        verdicts = {fault.name: _run(fault, plan, arguments.no_refusals) for fault in _faults(arguments)}
    except asyncio.CancelledError:
        print("stopped")
        return STOPPED
    print(summary(verdicts))
    return BROKEN if False in verdicts.values() else 0


def _faults(arguments: argparse.Namespace) -> Iterator[Fault]:
    if not arguments.minutes:
        yield from (FAULTS[name] for name in arguments.only)
        return
    ends_at_s, round_ = time.monotonic() + 60 * arguments.minutes, 0
    while time.monotonic() < ends_at_s:
        yield random_fault(arguments.seed, round_)
        round_ += 1


def _run(fault: Fault, plan: Plan, no_refusals: bool) -> bool | None:
    """Return whether the guarantees held; None if this machine cannot run the scenario."""
    try:
        outcome = asyncio.run(_stoppable(fault, plan))
    except NotPermittedError as error:
        print(f"{fault.name:<{NAME_WIDTH}}  SKIPPED: cannot create network namespaces: {error}", flush=True)
        return None
    except (AssertionError, OSError) as error:
        print(f"{fault.name:<{NAME_WIDTH}}  FAILED in the harness: {error}", flush=True)
        return False
    print(row(fault.name, outcome))
    print("".join(f"    {line}\n" for line in details(outcome)), end="", flush=True)
    return not outcome.findings.broken and not (no_refusals and outcome.findings.missing["refused"])


async def _stoppable(fault: Fault, plan: Plan) -> Outcome:
    """Run a fault; SIGINT and SIGTERM clean up, so that no process and no namespace is left behind."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await run_fault(fault, plan)


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = QUICK if arguments.quick else FULL
    if arguments.rate:
        plan = replace(plan, per_second=arguments.rate)
    if arguments.seconds:
        plan = replace(plan, lead_s=arguments.seconds / 2, tail_s=arguments.seconds / 2)
    return plan


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    names = list(FAULTS)
    parser.add_argument("--only", type=_list_of(names), default=names, metavar="SCENARIOS", help=", ".join(names))
    parser.add_argument("--rate", type=float, help="messages per second, all nodes together")
    parser.add_argument("--seconds", type=float, help="total seconds of load before and after the fault")
    parser.add_argument("--quick", action="store_true", help="2,000 messages per second, shorter")
    parser.add_argument("--no-refusals", action="store_true", help="treat refused emits as failures")
    parser.add_argument("--minutes", type=_minutes, help="run random faults for about so many minutes")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="seed of the random faults")
    return parser.parse_args()


def _minutes(text: str) -> float:
    if not 0 < float(text) <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most {MAX_MINUTES}")
    return float(text)


def _list_of(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
