"""A process on gevent or eventlet: `python -m tests.support.green_process gevent|eventlet ADDRESS PREFIX`.

Prints one line per attempt to make a node of it, then publishes from several green threads.
"""

import sys
from collections.abc import Callable
from typing import Any

EMITS = 20
GREEN_THREADS = 5


def patch(library: str) -> Callable[[list[Callable[[], None]]], Any]:
    """Patch the standard library; return a function that runs functions in green threads."""
    if library == "gevent":
        from gevent import joinall, monkey, spawn

        monkey.patch_all()
        return lambda functions: joinall([spawn(function) for function in functions], raise_error=True)
    import eventlet

    eventlet.monkey_patch()
    return lambda functions: [thread.wait() for thread in [eventlet.spawn(function) for function in functions]]


def main(library: str, address: str, prefix: str) -> None:
    """Try everything."""
    run = patch(library)
    import socketio

    from zmqio.exceptions import ConfigError
    from zmqio.python_socketio import Manager

    for async_mode in (library, "threading", None):
        try:
            socketio.Server(async_mode=async_mode, client_manager=Manager(address))
        except ConfigError as error:
            print(f"{async_mode}: {error}")
    manager = Manager(address, write_only=True, prefix=prefix)
    run([lambda n=n: [manager.emit("green", (n, i)) for i in range(EMITS)] for n in range(GREEN_THREADS)])  # type: ignore[misc]
    manager.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
