"""Runs a fault as an end-to-end test: the harness of `tests.bench.soak` with a small load, and nothing timed."""

import pytest

from tests.bench.soak.actions import Action
from tests.bench.soak.faults import Fault
from tests.bench.soak.netns import NotPermittedError
from tests.bench.soak.report import details, row, table_head
from tests.bench.soak.runs import Outcome, Plan, run_fault
from tests.bench.soak.testbed import Setup
from tests.support.timing import LIMIT_S
from tests.support.tools import require

__all__ = ["FAST_DEATHS", "check_fault", "check_no_loss"]

SMALL = Plan(
    per_second=600, lead_s=0.5, tail_s=0.7, quiet_s=LIMIT_S / 5, settle_s=2 * LIMIT_S, noticed_within_s=None
)
FAST_DEATHS = {"heartbeat_s": 0.2, "dead_after_s": 1.5}
"""Options of the bus where a node dies."""


async def check_fault(act: Action, setup: Setup = Setup(), *, may_lose: bool = False) -> Outcome:  # noqa: B008 - frozen
    """Cause the fault and check that the delivery guarantee holds.

    A fault of a network link requires a network namespace. Without the program `ip` the test is skipped, or fails
    where `CI` is set. It is skipped in any case if the system does not permit network namespaces (only to root).
    """
    if setup.way == "node in netns":
        require("ip")
    try:
        outcome = await run_fault(Fault("", act, setup, may_lose), SMALL)
    except NotPermittedError as error:
        pytest.skip(
            "a link that goes down is not tested here, only connections that are cut or stall: this system does "
            f"not permit network namespaces ({str(error).strip()})"
        )
    assert outcome.findings.broken == [], "\n".join([table_head(), row("", outcome), *details(outcome)])
    return outcome


async def check_no_loss(act: Action, setup: Setup = Setup()) -> None:  # noqa: B008 - frozen
    """Check also that every emitted message has arrived, so none was refused."""
    outcome = await check_fault(act, setup)
    assert outcome.findings.missing == {}, "\n".join([table_head(), row("", outcome), *details(outcome)])
