"""Which processes are taken for one of several workers, and which are not."""

import pytest

from zmqio.server.workers import WorkerHost, Workers, find_workers

GUNICORN = {"SERVER_SOFTWARE": "gunicorn/23.0.0"}
SHELL = ("bash",)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_one_of_several_spawned_workers(server: str) -> None:
    host = WorkerHost({}, spawned_by=server, spawned_workers=4)
    assert find_workers(host) == Workers(server, 4)


def test_single_spawned_worker_is_alone() -> None:
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
def test_gunicorns_command_line_says_how_many(command: tuple[str, ...]) -> None:
    assert find_workers(WorkerHost({}, command)) == Workers("gunicorn", 4)


def test_gunicorn_takes_its_number_from_the_environment_when_the_command_line_has_none() -> None:
    assert find_workers(WorkerHost(GUNICORN | {"WEB_CONCURRENCY": "3"})) == Workers("gunicorn", 3)
    arguments = {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:80 --workers=5", "WEB_CONCURRENCY": "3"}
    assert find_workers(WorkerHost(GUNICORN | arguments)) == Workers("gunicorn", 5)
    one = WorkerHost(GUNICORN | arguments, ("gunicorn", "-w", "1"))
    assert find_workers(one) is None


def test_gunicorn_with_a_number_in_its_configuration_file_is_told_by_its_children() -> None:
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
def test_gunicorn_with_one_worker_is_alone(environ: dict[str, str]) -> None:
    assert find_workers(WorkerHost(environ, ("gunicorn", "app"), siblings=1)) is None


@pytest.mark.parametrize(
    "command", [SHELL, (), ("uvicorn", "app:app"), ("systemd",), ("vi", "gunicorn.conf.py", "-w4")]
)
def test_number_in_the_environment_of_a_single_process_has_no_effect(command: tuple[str, ...]) -> None:
    assert find_workers(WorkerHost({"WEB_CONCURRENCY": "4"}, command, siblings=9)) is None


def test_workers_of_zmqio_serve_are_none_of_these() -> None:
    environ = {"WEB_CONCURRENCY": "4", "ZMQIO_NODE_TAG": "wk01"}
    assert (
        find_workers(WorkerHost(environ, ("python3", "/x/bin/zmqio", "serve", "a:b", "--workers", "4"), 5)) is None
    )
