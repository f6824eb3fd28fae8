"""The order of the tests, and those that may run at the same time, with several workers of pytest-xdist.

A module stays in one worker, so that its fixtures are made once. Long modules come first, so that no worker is
left with one at the end. Modules that use the whole machine, or measure its load, never run at the same time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["ModuleScheduling", "by_length", "folders_from", "worker_count"]

TESTS = Path(__file__).parents[1]

SATURATING = (
    "tests/e2e/test_sessions_balancers.py",
    "tests/e2e/test_engine_storm.py",
    "tests/e2e/test_broker.py",
    "tests/e2e/test_cluster_churn.py",
    "tests/e2e/test_faults_checks.py",
)
"""Modules that use all cores for seconds, or measure CPU."""

LONG = (
    *SATURATING,
    "tests/e2e/test_packaging.py",
    "tests/e2e/test_clone.py",
    "tests/e2e/test_hostile_processes.py",
    "tests/e2e/test_demo_browser.py",
    "tests/e2e/test_serve_life.py",
    "tests/e2e/test_serve.py",
    "tests/e2e/test_serve_connections.py",
    "tests/e2e/test_drain.py",
    "tests/e2e/test_mounting.py",
    "tests/e2e/test_admin_page.py",
    "tests/e2e/test_balancers.py",
    "tests/e2e/test_publish_wire.py",
    "tests/e2e/test_keys_in_use.py",
    "tests/e2e/test_recovery.py",
    "tests/e2e/test_malformed.py",
    "tests/e2e/test_faults_nodes.py",
    "tests/e2e/test_faults_broker.py",
    "tests/e2e/test_faults_network.py",
    "tests/cluster/delivery/test_replay_machine.py",
)
"""Modules that take longest, in the order in which they begin."""

WORKERS_PER_CORE = 3
"""End-to-end tests wait for something two thirds of their time."""


def worker_count(cores: int) -> int:
    """The number of workers of `-n auto`."""
    return max(2, min(WORKERS_PER_CORE * cores, 8))


def folders_from(worker: int, workers: int) -> list[str]:
    """Everything that has tests, in an order that begins at another module for each worker."""
    parts = sorted(file.relative_to(TESTS).parts[0] for file in TESTS.rglob("test_*.py"))
    first = parts[worker * len(parts) // workers]
    names = list(dict.fromkeys(parts))
    start = names.index(first)
    return [str(TESTS / name) for name in (*names[start:], *names[:start])]


def by_length(item: pytest.Item) -> tuple[int, str]:
    """A sort key: long modules, then other end-to-end tests, then all others."""
    module = item.nodeid.split("::", 1)[0]
    if module in LONG:
        return LONG.index(module), module
    return len(LONG) + (not module.startswith("tests/e2e/")), module


class ModuleScheduling(LoadScopeScheduling):
    """Assigns whole modules to the workers, in the order of collection; saturating ones count as one module."""

    def __init__(self, config: pytest.Config, log: Callable[..., Any] | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return "saturating" if module in SATURATING else module
