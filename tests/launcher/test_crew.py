"""All workers of a server, as real processes."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.cluster import ROOT
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ServeError
from zmqio.launcher.choice import Choice
from zmqio.launcher.crew import Crew
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.worker_process import WorkerProcess

NO_BROKER = "ipc:///tmp/zmqio-no-broker-is-here"


def make(options: ServeOptions, folder: Path = ROOT) -> tuple[Crew, Choice[WorkerProcess], list[bool]]:
    choice: Choice[WorkerProcess] = Choice("sid")
    open_when_changed: list[bool] = []
    crew = Crew(options, NO_BROKER, str(folder), choice, lambda: open_when_changed.append(choice.open))
    return crew, choice, open_when_changed


async def test_workers_can_be_chosen_when_they_are_ready_and_no_more_when_they_stop() -> None:
    crew, choice, changes = make(ServeOptions("tests.support.serve_app:app", node_tag="x-", log_level="error"))
    try:
        workers = [await crew.start(slot) for slot in (1, 2)]
        assert not choice.open
        await crew.first_ready()
        assert choice.open
        await wait_until(lambda: all(worker.settled.is_set() for worker in workers), "both are ready")
        assert set(choice) == set(workers)
        assert [worker.tag[:2] for worker in workers] == ["x-", "x-"]
        assert workers[0].tag != workers[1].tag
    finally:
        await crew.stop()
    assert list(choice) == []
    assert changes[0] is True
    assert changes[-1] is False
    assert all(worker.ended.is_set() for worker in workers)


async def test_app_that_cannot_be_served_ends_the_first_wait_and_its_traceback_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_app.py").write_text("1 / 0")
    crew, _, _ = make(ServeOptions("broken_app:app", log_level="error"), tmp_path)
    try:
        workers = [await crew.start(slot) for slot in (1, 2)]
        with pytest.raises(ServeError, match="cannot be imported: ZeroDivisionError"):
            await crew.first_ready()
        await wait_until(lambda: all(worker.ended.is_set() for worker in workers), "both have ended")
    finally:
        await crew.stop()
    assert capsys.readouterr().err.count("Traceback") == 1


async def test_later_failures_and_those_while_developing_are_only_told(tmp_path: Path) -> None:
    (tmp_path / "broken_app.py").write_text("1 / 0")
    crew, _, _ = make(ServeOptions("broken_app:app", reload=True, log_level="error"), tmp_path)
    with capture_logs() as logs:
        try:
            worker = await crew.start(1)
            await wait_until(worker.ended.is_set, "its end")
        finally:
            await crew.stop()
    assert [line["reason"] for line in logs if line["event"] == "worker_cannot_serve"]


async def test_kill_waits_for_nobody() -> None:
    crew, _, _ = make(ServeOptions("tests.support.serve_app:app", drain_s=LIMIT_S, log_level="error"))
    worker = await crew.start(1)
    crew.kill()
    await wait_until(worker.ended.is_set, "its end")
    await crew.stop()
    assert worker.ending == "killed by SIGKILL"
