"""Decide whether the promise holds: real nodes, real brokers, real faults, and clients that check every message.

`python -m tests.bench.soak [--only node-kill,...] [--rate 5000] [--seconds S] [--quick]`. About 25 seconds
a scenario. The exit code is 1 if anything was lost, doubled, overtaken or untold, or a living node taken for dead.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace

from tests.bench.soak.faults import FAULTS, Fault
from tests.bench.soak.netns import NotPermittedError
from tests.bench.soak.report import details, heading, row, summary, table_head
from tests.bench.soak.runs import FULL, QUICK, Plan, run_fault

BROKEN = 1


def main() -> int:
    """Run what the command line asks for, and print the report."""
    arguments = _parse()
    plan = _plan(arguments)
    print(heading(plan, " ".join(["python -m tests.bench.soak", *sys.argv[1:]])))
    print(table_head(), flush=True)
    broken: list[str] = []
    not_run: list[str] = []
    for name in arguments.only:
        _run_one(FAULTS[name], plan, arguments, broken, not_run)
    print(summary(broken, not_run, len(arguments.only)))
    return BROKEN if broken else 0


def _run_one(
    fault: Fault, plan: Plan, arguments: argparse.Namespace, broken: list[str], not_run: list[str]
) -> None:
    try:
        outcome = asyncio.run(run_fault(fault, plan))
    except NotPermittedError as error:
        print(f"{fault.name:<22}  SKIPPED: network namespaces are not permitted here: {error}", flush=True)
        not_run.append(fault.name)
        return
    except (AssertionError, OSError) as error:
        print(f"{fault.name:<22}  FAILED, the harness could not judge: {error}", flush=True)
        broken.append(fault.name)
        return
    if outcome.findings.broken or (arguments.no_refusals and outcome.findings.missing["refused"]):
        broken.append(fault.name)
    print(row(fault.name, outcome))
    print("".join(f"    {line}\n" for line in details(outcome)), end="", flush=True)


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
    parser.add_argument(
        "--no-refusals", action="store_true", help="a message that an emit refused counts as broken, too"
    )
    return parser.parse_args()


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
