"""Events at the server during a load, and the faults that the clients may have seen."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.support.session_load import Seen, SessionLoad, Talk, summary
from tests.support.session_targets import Target

__all__ = ["Outcome", "Plan", "kill_worker", "rolling_restart", "talk"]

NEVER = ("lost", "doubled", "disorder")
"""Faults for every client, whatever happens to its server."""
AT_REST = (*NEVER, "unknown_sessions", "reconnects", "refused", "not_upgraded")
"""Faults for a client whose server process keeps running."""


MAX_MESSAGE_FAULTS = 10
"""Faults of single messages that the outcome of a run lists."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run.

    Attributes:
        clients: an even number, half of which only poll.
        messages: per client.
        pace_ms: mean pause of a client between two messages, in milliseconds.
    """

    clients: int
    messages: int
    pace_ms: int


@dataclass(slots=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        sums: over all clients.
        faults: descriptions of what is wrong; empty if nothing is.
        waits_s: client of a killed process -> seconds until it knew that its session had ended; even clients only
            poll.
    """

    sums: Counter[str]
    faults: list[str] = field(default_factory=list)
    waits_s: dict[int, float] = field(default_factory=dict)


async def talk(_target: Target, load: SessionLoad, plan: Plan) -> Outcome:
    """Nothing happens, and no client may see a fault."""
    await load.talk(Talk(plan.messages, pace_ms=plan.pace_ms))
    return _judge(await load.ended(), plan)


async def kill_worker(target: Target, load: SessionLoad, plan: Plan) -> Outcome:
    """Kill the server process with the most clients once half of the messages are acknowledged.

    Its clients must end up on other processes. Other clients may notice only if a request of theirs was on a
    connection of the killed process. Where that is not known (`zmqio serve` without stickiness), all may.
    """
    await load.talk(Talk(plan.messages, pace_ms=plan.pace_ms))
    await load.wait_acked(plan.clients * plan.messages // 2)
    victim, _ = Counter(load.homes.values()).most_common(1)[0]
    own = {client for client, pid in load.homes.items() if pid == victim}
    killed_at = time.time()
    os.kill(victim, signal.SIGKILL)
    await load.wait_left({victim})
    seen = await load.ended()
    cut = await _clients_cut(target, victim, seen)
    outcome = _judge(seen, plan, moved=own | cut)
    outcome.sums["killed_clients"] = len(own)
    outcome.waits_s = {
        one.client: one.disconnected_at[-1] - killed_at
        for one in seen
        if one.client in own and one.disconnected_at
    }
    outcome.sums["cut_clients"] = len(cut - own)
    return outcome


async def _clients_cut(target: Target, victim: int, seen: Sequence[Seen]) -> set[int]:
    """The clients that had a request on a connection of the killed process."""
    if target.sids_cut is None:
        return set() if target.sticky else {one.client for one in seen}
    sids = await asyncio.to_thread(target.sids_cut, victim)
    return {one.client for one in seen if not sids.isdisjoint(one.sids)}


async def rolling_restart(target: Target, load: SessionLoad, plan: Plan) -> Outcome:
    """Send SIGHUP to `zmqio serve`; clients talk until all are on new workers.

    All clients must reconnect by themselves, and no message between two connected clients may be missing.
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


def _noticed(one: Seen) -> str:
    reasons = ", ".join(one.disconnects)
    return f"client {one.client} ({one.way}, sessions {', '.join(one.sids)}) was disconnected: {reasons}"


def _judge(seen: Sequence[Seen], plan: Plan | None, moved: Collection[int] = ()) -> Outcome:
    """Sum up and list the faults. Clients in `moved` may have lost their connection, but no message."""
    outcome = Outcome(summary(seen))
    others = summary([one for one in seen if one.client not in moved] or seen[:0])
    outcome.faults += [f"{outcome.sums[name]} {name}" for name in NEVER if outcome.sums[name]]
    outcome.faults += [f"{others[name]} {name}" for name in AT_REST if name not in NEVER and others[name]]
    outcome.faults += [_noticed(one) for one in seen if one.client not in moved and one.disconnects]
    outcome.faults += [fault for one in seen for fault in one.wrong][:MAX_MESSAGE_FAULTS]
    if plan is not None and outcome.sums["acked"] != plan.clients * plan.messages:
        outcome.faults.append(f"{outcome.sums['acked']} of {plan.clients * plan.messages} messages acknowledged")
    return outcome
