"""Decide whether the promise holds: real nodes, real brokers, real faults, and clients that check every message.

`python -m tests.bench.soak [--only node-kill,...] [--rate 5000] [--seconds S] [--quick]` runs one scenario after
the other, about 25 seconds each; `--minutes M [--seed N]` lets chance choose, in rounds of about a minute.
The exit code is 1 if anything was lost, doubled, overtaken or untold, or a living node taken for dead.
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
MOST_MINUTES = 120


def main() -> int:
    """Run what the command line asks for, and print the report."""
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
    """Whether the promise held; None if the scenario cannot be run here."""
    try:
        outcome = asyncio.run(_stoppable(fault, plan))
    except NotPermittedError as error:
        print(f"{fault.name:<{NAME_WIDTH}}  SKIPPED: no network namespaces here: {error}", flush=True)
        return None
    except (AssertionError, OSError) as error:
        print(f"{fault.name:<{NAME_WIDTH}}  FAILED, the harness could not judge: {error}", flush=True)
        return False
    print(row(fault.name, outcome))
    print("".join(f"    {line}\n" for line in details(outcome)), end="", flush=True)
    return not outcome.findings.broken and not (no_refusals and outcome.findings.missing["refused"])


async def _stoppable(fault: Fault, plan: Plan) -> Outcome:
    """SIGTERM takes the stage down too: no process and no namespace is left behind."""
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
    parser.add_argument("--rate", type=float, help="messages a second of all nodes together")
    parser.add_argument("--seconds", type=float, help="load before and after the fault, together")
    parser.add_argument("--quick", action="store_true", help="2,000 messages a second, shorter")
    parser.add_argument("--no-refusals", action="store_true", help="a message that an emit refused is broken, too")
    parser.add_argument("--minutes", type=_minutes, help="faults by chance, for about so long")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10_000), help="of the chance; the report tells"
    )
    return parser.parse_args()


def _minutes(text: str) -> float:
    if not 0 < float(text) <= MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"from 0 to {MOST_MINUTES}")
    return float(text)


def _list_of(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
