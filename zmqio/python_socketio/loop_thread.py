"""An event loop in a thread of its own, for a node in a program that has none."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["LoopThread"]

Result = TypeVar("Result")

IN_LOOP = (
    "this function runs in the event loop of the manager's node, where a blocking call would wait for itself; use "
    "`await manager.cluster(...)` here, or start a thread"
)


class LoopThread:
    """Runs coroutines for other threads. The thread starts with the first one, and again in a forked child.

    Args:
        name: of the thread.
        on_fork: called in a forked child before its own thread starts.
    """

    def __init__(self, name: str, on_fork: Callable[[], None]) -> None:
        self._name = name
        self._on_fork = on_fork
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    @property
    def running(self) -> bool:
        """Whether the thread runs in this process."""
        return self._loop is not None and self._pid == os.getpid()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; its thread starts if it does not run."""
        if self._loop is None or self._pid != os.getpid():
            return self._start()
        return self._loop

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return self._thread is threading.current_thread()

    def run(self, work: Coroutine[Any, Any, Result], timeout_s: float | None = None) -> Result:
        """Run a coroutine in the loop and wait for its result.

        Raises:
            RuntimeError: the caller runs in the loop itself.
            TimeoutError: no result within `timeout_s` seconds; the coroutine is cancelled.
        """
        if self.is_current:
            work.close()
            raise RuntimeError(IN_LOOP)
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call a plain function in the loop and wait for its result; in the loop itself, at once."""

        async def work() -> Result:
            return function(*args)

        return function(*args) if self.is_current else self.run(work())

    def stop(self) -> None:
        """End the thread. The next coroutine starts another one."""
        if self.running and self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = None

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is not None and self._pid != os.getpid():
                self._on_fork()
                self._loop = None
            if self._loop is None:
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
