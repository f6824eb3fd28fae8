"""Detection of processes that are one of several workers."""

import multiprocessing
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from zmqio.server.workers import WorkerHost, Workers, find_workers, warn_of_other_adapter, warn_of_workers
from zmqio.zeromq.adapter import ZmqAdapter

GUNICORN = {"SERVER_SOFTWARE": "gunicorn/23.0.0"}
SHELL = ("bash",)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_one_of_several_spawned_workers_is_detected(server: str) -> None:
    host = WorkerHost({}, spawned_by=server, spawned_workers=4)
    assert find_workers(host) == Workers(server, 4)


def test_single_spawned_worker_is_not_detected() -> None:
    assert find_workers(WorkerHost({}, siblings=2, spawned_by="hypercorn", spawned_workers=1)) is None


@pytest.mark.parametrize(
    "command",
    [
        ("gunicorn", "-w", "4", "app"),
        ("gunicorn", "-w4", "app"),
        ("/x/bin/gunicorn", "--workers", "4", "app"),
        ("/x/bin/python3", "/x/bin/gunicorn", "app", "--workers=4"),
        ("gunicorn", "-w", "2", "app", "--workers", "4"),
    ],
)
def test_number_of_gunicorn_workers_is_read_from_the_command_line(command: tuple[str, ...]) -> None:
    assert find_workers(WorkerHost({}, command)) == Workers("gunicorn", 4)


def test_number_of_gunicorn_workers_is_read_from_the_environment() -> None:
    assert find_workers(WorkerHost(GUNICORN | {"WEB_CONCURRENCY": "3"})) == Workers("gunicorn", 3)
    arguments = {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:80 --workers=5", "WEB_CONCURRENCY": "3"}
    assert find_workers(WorkerHost(GUNICORN | arguments)) == Workers("gunicorn", 5)
    one = WorkerHost(GUNICORN | arguments, ("gunicorn", "-w", "1"))
    assert find_workers(one) is None


def test_number_of_gunicorn_workers_of_a_configuration_file_is_counted() -> None:
    assert find_workers(WorkerHost(GUNICORN, ("gunicorn", "-c", "conf.py", "app"), siblings=4)) == Workers(
        "gunicorn", 4
    )
    assert find_workers(WorkerHost({}, ("gunicorn: master [app]",), siblings=2)) == Workers("gunicorn", 2)


@pytest.mark.parametrize(
    "environ",
    [
        GUNICORN,
        GUNICORN | {"WEB_CONCURRENCY": "1"},
        GUNICORN | {"WEB_CONCURRENCY": "many"},
        GUNICORN | {"GUNICORN_CMD_ARGS": "--workers='2"},
    ],
)
def test_gunicorn_with_one_worker_is_not_detected(environ: dict[str, str]) -> None:
    assert find_workers(WorkerHost(environ, ("gunicorn", "app"), siblings=1)) is None


@pytest.mark.parametrize(
    "command", [SHELL, (), ("uvicorn", "app:app"), ("systemd",), ("vi", "gunicorn.conf.py", "-w4")]
)
def test_environment_of_a_single_process_has_no_effect(command: tuple[str, ...]) -> None:
    assert find_workers(WorkerHost({"WEB_CONCURRENCY": "4"}, command, siblings=9)) is None


def test_workers_of_zmqio_serve_are_not_detected() -> None:
    environ = {"WEB_CONCURRENCY": "4", "ZMQIO_NODE_TAG": "wk01"}
    assert (
        find_workers(WorkerHost(environ, ("python3", "/x/bin/zmqio", "serve", "a:b", "--workers", "4"), 5)) is None
    )


class Config:
    """The configuration that a host passes to the function of its workers."""

    workers = 4
    should_reload = False


def run_workers(config: Any) -> None:
    """The function of a host's workers."""


def test_configuration_of_a_spawned_worker_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spawned = multiprocessing.Process(target=run_workers, kwargs={"config": Config()})
    monkeypatch.setattr(multiprocessing, "current_process", lambda: spawned)
    with capture_logs() as logs:
        warn_of_workers()
    assert [(entry["event"], entry["workers"]) for entry in logs] == [("unconnected_workers_detected", 4)]


@pytest.mark.parametrize(
    "process", [SimpleNamespace(), SimpleNamespace(_target=run_workers, _kwargs=("config", Config()))]
)
def test_process_without_the_private_attributes_of_multiprocessing_is_not_detected(
    process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: process)
    with capture_logs() as logs:
        warn_of_workers()
    assert logs == []


class CustomAdapters:
    """An adapter factory without brokers."""

    def __repr__(self) -> str:
        return "CustomAdapters()"


@pytest.mark.parametrize(
    ("environment", "adapter", "is_warned"),
    [
        ("", CustomAdapters(), False),
        ("tcp://a:5555", CustomAdapters(), True),
        ("tcp://a:5555", ZmqAdapter("tcp://b:5555"), True),
        ("tcp://a:5555", ZmqAdapter("tcp://a:5555"), False),
        ("tcp://a:5555, tcp://b:5555", ZmqAdapter("tcp://b:5555,tcp://a:5555"), False),
    ],
)
def test_adapter_that_overrides_the_environment_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, environment: str, adapter: Any, is_warned: bool
) -> None:
    monkeypatch.setenv("ZMQIO_ADAPTER", environment)
    with capture_logs() as logs:
        warn_of_other_adapter(adapter)
    assert [entry["event"] for entry in logs] == ["adapter_variable_ignored"] * is_warned
    assert all(entry["adapter"] == repr(adapter) and entry["environment"] == environment for entry in logs)
