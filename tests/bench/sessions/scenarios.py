"""What happens to the server while clients talk, and what they may have seen of it afterwards."""

import os
import signal
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.support.session_load import Seen, SessionLoad, Talk, summary
from tests.support.session_targets import Target

__all__ = ["Outcome", "Plan", "kill_worker", "rolling_restart", "talk"]

NEVER = ("lost", "doubled", "disorder")
"""Wrong for every client, whatever happens to its server."""
AT_REST = (*NEVER, "unknown_sessions", "reconnects", "refused", "not_upgraded")
"""Wrong for a client whose server process lives."""


MOST_WORDS = 10
"""Of a run, about single messages."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run.

    Attributes:
        clients: how many; an even number, half of which only polls.
        messages: of each client.
        pace_ms: mean pause of a client between two messages, in milliseconds.
    """

    clients: int
    messages: int
    pace_ms: int


@dataclass(slots=True)
class Outcome:
    """How a run went.

    Attributes:
        sums: over all clients.
        faults: what is wrong, in words; empty when nothing is.
    """

    sums: Counter[str]
    faults: list[str] = field(default_factory=list)


async def talk(_target: Target, load: SessionLoad, plan: Plan) -> Outcome:
    """Nothing happens: nobody may see anything."""
    await load.talk(Talk(plan.messages, pace_ms=plan.pace_ms))
    return _judge(await load.ended(), plan)


async def kill_worker(target: Target, load: SessionLoad, plan: Plan) -> Outcome:
    """SIGKILL for the server process with the most clients, when half of the messages are acknowledged.

    Its clients have to be on others in the end. Where all of a client's requests go to its own process nobody else
    may notice; else (no stickiness) requests die that were only passing through.
    """
    await load.talk(Talk(plan.messages, pace_ms=plan.pace_ms))
    await load.wait_acked(plan.clients * plan.messages // 2)
    victim, _ = Counter(load.homes.values()).most_common(1)[0]
    hit = {client for client, pid in load.homes.items() if pid == victim}
    os.kill(victim, signal.SIGKILL)
    seen = await load.ended()
    outcome = _judge(seen, plan, moved=hit if target.sticky else {one.client for one in seen})
    stayed = [one.client for one in seen if one.client in hit and one.homes[-1] == victim]
    outcome.faults += [f"{len(stayed)} clients did not get away from the killed process"] if stayed else []
    outcome.sums["killed_clients"] = len(hit)
    return outcome


async def rolling_restart(target: Target, load: SessionLoad, plan: Plan) -> Outcome:
    """SIGHUP for `zmqio serve`; clients talk until nobody is on an old worker any more.

    Everybody has to come back by itself, and no message between two that are connected may be missing.
    """
    assert target.serve_pid is not None, "only `zmqio serve` restarts its workers"
    await load.talk(Talk(None, pace_ms=plan.pace_ms))
    await load.wait_acked(plan.clients * 5)
    old = set(load.homes.values())
    os.kill(target.serve_pid, signal.SIGHUP)
    await load.wait_left(old)
    await load.wait_acked(load.acked + plan.clients * 5)
    await load.finish()
    seen = await load.ended()
    return _judge(seen, None, moved={one.client for one in seen})


def _judge(seen: Sequence[Seen], plan: Plan | None, moved: Collection[int] = ()) -> Outcome:
    """Sum up, and say what is wrong; clients in `moved` may have lost their connection, but no message."""
    outcome = Outcome(summary(seen))
    others = summary([one for one in seen if one.client not in moved] or seen[:0])
    outcome.faults += [f"{outcome.sums[name]} {name}" for name in NEVER if outcome.sums[name]]
    outcome.faults += [f"{others[name]} {name}" for name in AT_REST if name not in NEVER and others[name]]
    outcome.faults += [words for one in seen for words in one.wrong][:MOST_WORDS]
    if plan is not None and outcome.sums["acked"] != plan.clients * plan.messages:
        outcome.faults.append(f"{outcome.sums['acked']} of {plan.clients * plan.messages} messages acknowledged")
    return outcome
