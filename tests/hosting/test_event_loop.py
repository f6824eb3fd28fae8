"""The event loop of zmqio's processes is the one that uvicorn would choose."""

import asyncio

from zmqio.hosting.event_loop import run


def test_coroutine_runs_on_the_event_loop_that_uvicorn_would_choose() -> None:
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
