"""Set-up of every test: forked processes, one hypothesis profile, and the mark of the end-to-end tests."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.forked import allow_forks

if sys.dont_write_bytecode:
    # Compiling zmqio takes each new interpreter 0.3 s of CPU, and the tests take each worker 8 s. Nothing is left
    # in the tree: bytecode is cached elsewhere.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts a background command with SIGINT ignored, and so are its child processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)

allow_forks()

# No profile has a deadline: it would assert a duration, and a slow machine is not a fault.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fast", max_examples=50, **_COMMON)
settings.register_profile("ci", max_examples=200, **_COMMON)
_in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false", "no")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if _in_ci else "fast"))

_STARTERS = frozenset(
    {
        "subprocess",
        "AcceptorPool",
        "AcceptorProcess",
        "BrokerProcess",
        "DemoProcess",
        "NatsCluster",
        "NatsServerProcess",
        "NodeProcess",
        "ServeProcess",
        "Supervisor",
        "WorkerPool",
        "WorkerProcess",
        "WorkerSlot",
    }
)
"""A test module that has one of these names starts processes."""
_EXEMPT = "tests/test_layout.py"  # asks git, and takes a second


def pytest_configure(config: pytest.Config) -> None:
    """With several workers, let each begin to collect somewhere else: it finds what others have compiled."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        from tests.support.schedule import folders_from

        config.args = folders_from(int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start processes as `e2e`. With several workers, begin with the longest tests."""
    for item in items:
        if _starts_processes(item):
            item.add_marker("e2e")
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests.support.schedule import by_length

        items.sort(key=by_length)


def _starts_processes(item: pytest.Item) -> bool:
    if item.nodeid.startswith(_EXEMPT):
        return False
    module = getattr(item, "module", None)
    return (
        item.nodeid.startswith("tests/e2e/")
        or not _STARTERS.isdisjoint(vars(module) if module else ())
        or "real_broker" in item.nodeid
        or "nats_cluster" in item.nodeid
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """The number of workers of `-n auto`."""
    from tests.support.schedule import worker_count

    return worker_count(len(os.sched_getaffinity(0)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep modules together."""
    from tests.support.schedule import ModuleScheduling

    return ModuleScheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why; after the tests of the pages also how many code blocks were run."""
    from tests.support.summary import block_lines, skip_lines

    stats = terminalreporter.stats
    if skipped := stats.get("skipped"):
        terminalreporter.section("skipped, and why")
        for line in skip_lines(skipped):
            terminalreporter.line(line)
    if any(report.nodeid.startswith("tests/test_docs.py") for report in stats.get("passed", ())):
        terminalreporter.section("code blocks of README and docs")
        for line in block_lines():
            terminalreporter.line(line)
