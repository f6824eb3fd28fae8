"""Tests of `zmqio.hosting.event_loop`."""

import asyncio

from zmqio.hosting.event_loop import run


def test_work_runs_to_its_end_on_the_loop_that_uvicorn_would_choose() -> None:
    import uvicorn

    seen: list[type] = []

    async def work() -> None:
        seen.append(type(asyncio.get_running_loop()))

    run(work())
    factory = uvicorn.Config(app="", log_config=None).get_loop_factory()
    assert factory is not None
    loop = factory()
    loop.close()
    assert seen == [type(loop)]
