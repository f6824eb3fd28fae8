"""Runs a fault as an end-to-end test: the harness of `tests.bench.soak` with a small load, and nothing timed."""

from dataclasses import replace

import pytest

from tests.bench.soak.actions import Action
from tests.bench.soak.faults import Fault
from tests.bench.soak.netns import NotPermittedError
from tests.bench.soak.report import details, row, table_head
from tests.bench.soak.runs import Outcome, Plan, run_fault
from tests.bench.soak.testbed import Setup
from tests.support.timing import LIMIT_S
from tests.support.tools import require

__all__ = ["QUIET_S", "check_fault", "check_no_loss"]

QUIET_S = 6.0
"""Seconds without progress that end the wait where the expected messages are not known, or may be lost."""

SMALL = Plan(per_second=600, lead_s=0.5, tail_s=0.7, quiet_s=LIMIT_S, settle_s=LIMIT_S, noticed_within_s=None)
PATIENT = {"dead_after_s": LIMIT_S}
"""Options of the bus: a node that is stopped, or starved by other tests, does not count as dead."""


async def check_fault(
    act: Action,
    setup: Setup = Setup(),  # noqa: B008 - frozen
    *,
    may_lose: bool = False,
    quiet_s: float = LIMIT_S,
) -> Outcome:
    """Cause the fault and check that the delivery guarantee holds.

    Args:
        act: the fault.
        setup: the cluster; its options of the bus are added to `PATIENT`.
        may_lose: whether messages in a reported gap may be missing.
        quiet_s: seconds without progress after which missing messages are lost.

    A fault of a network link requires a network namespace. Without the program `ip` the test is skipped, or fails
    where `CI` is set. It is skipped in any case if the system does not permit network namespaces (only to root).
    """
    if setup.way == "node in netns":
        require("ip")
    try:
        patient = replace(setup, bus=PATIENT | setup.bus)
        outcome = await run_fault(Fault("", act, patient, may_lose), replace(SMALL, quiet_s=quiet_s))
    except NotPermittedError as error:
        pytest.skip(
            "a link that goes down is not tested here, only connections that are cut or stall: this system does "
            f"not permit network namespaces ({str(error).strip()})"
        )
    assert outcome.findings.broken == [], "\n".join([table_head(), row("", outcome), *details(outcome)])
    return outcome


async def check_no_loss(
    act: Action,
    setup: Setup = Setup(),  # noqa: B008 - frozen
    *,
    quiet_s: float = LIMIT_S,
) -> None:
    """Check also that every emitted message has arrived, so none was refused."""
    outcome = await check_fault(act, setup, quiet_s=quiet_s)
    assert outcome.findings.missing == {}, "\n".join([table_head(), row("", outcome), *details(outcome)])
