"""How much is sent again after a node stalls, and for how long: `python -m tests.bench.replay_share`.

Three nodes emit; the event loop of one is blocked. Then the others send it what it missed, beside live messages.
A missed message must be sent again once, to the node that missed it. So the share of replay in all that is sent is
the share of the missed messages. The exit code is 1 if more than `WASTE` times as many were sent again, if any was
lost, or if the recovery took longer than the stall.
"""

import argparse
import asyncio
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass

from tests.bench.soak import actions
from tests.bench.soak.judge import bus_counters
from tests.bench.soak.testbed import Setup, Testbed

__all__: list[str] = []

WASTE = 1.25
"""Messages sent again for each missed one, at most: some arrive while the request for them is under way."""
LEAD_S = 3.0
TAIL_S = 6.0
POLL_S = 0.25
SETTLED_POLLS = 4
"""The recovery has ended when so many polls in a row find nothing that was sent again."""
COUNTERS = (
    "messages_published",
    "replayed_messages",
    "replayed_messages_sent",
    "replay_requests_sent",
    "bus_gaps",
)
TITLES = ("brokers", "emitted/s", "published", "missed", "sent again", "requests", "lost", "share", "recovery s")


@dataclass(slots=True)
class _Recovery:
    """The counters of all nodes, and the last moment at which something was sent again."""

    sums: Counter[str]
    last_replay_s: float


def main() -> int:
    """Run each number of brokers; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.replay_share", description=__doc__)
    parser.add_argument("--rate", type=float, default=10_000, help="messages per second, all nodes together")
    parser.add_argument(
        "--stall", type=float, default=5.0, help="seconds for which the loop of one node is blocked"
    )
    parser.add_argument("--brokers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    print(f"python -m tests.bench.replay_share {' '.join(sys.argv[1:])}".rstrip())
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{arguments.rate:g} messages/s wanted, one of three nodes blocked for {arguments.stall:g} s")
    print(" | ".join(TITLES), flush=True)
    good = [asyncio.run(_run(count, arguments.rate, arguments.stall)) for count in arguments.brokers]
    return 0 if all(good) else 1


async def _run(brokers: int, rate: float, stall_s: float) -> bool:
    longest_s = LEAD_S + stall_s + TAIL_S + 20
    async with Testbed(Setup(brokers=brokers), per_second=rate, longest_s=longest_s) as testbed:
        began_s = time.monotonic()
        await testbed.emit()
        await asyncio.sleep(LEAD_S)
        await actions.node_stall(stall_s)(testbed)
        ended_s = time.monotonic()
        recovery = await _recover(testbed, ended_s)
        await testbed.stop()
        emit_s = time.monotonic() - began_s
    sums = recovery.sums
    recovery_s = max(0.0, recovery.last_replay_s - ended_s)
    missed, again = sums["replayed_messages"], sums["replayed_messages_sent"]
    share = again / (sums["messages_published"] + again)
    row = (brokers, f"{sums['messages_published'] / emit_s:.0f}", sums["messages_published"], missed, again)
    more = (sums["replay_requests_sent"], sums["bus_gaps"], f"{share:.1%}", f"{recovery_s:.1f}")
    print(" | ".join(str(value).rjust(len(title)) for value, title in zip((*row, *more), TITLES, strict=True)))
    return again <= WASTE * missed and not sums["bus_gaps"] and recovery_s <= stall_s


async def _recover(testbed: Testbed, since_s: float) -> _Recovery:
    """Poll until nothing has been sent again for a while, at least `TAIL_S` under load."""
    recovery, quiet = _Recovery(await _sums(testbed), since_s), 0
    while quiet < SETTLED_POLLS or time.monotonic() - since_s < TAIL_S:
        await asyncio.sleep(POLL_S)
        sums = await _sums(testbed)
        if sums["replayed_messages_sent"] > recovery.sums["replayed_messages_sent"]:
            recovery.last_replay_s, quiet = time.monotonic(), 0
        else:
            quiet += 1
        recovery.sums = sums
        if time.monotonic() - since_s > TAIL_S + 15:
            break
    return recovery


async def _sums(testbed: Testbed) -> Counter[str]:
    sums: Counter[str] = Counter()
    for state in await asyncio.gather(*(node.state() for node in testbed.nodes)):
        counters = bus_counters(state)
        sums.update({name: counters.get(name, 0) for name in COUNTERS})
    return sums


if __name__ == "__main__":
    sys.exit(main())
