"""The address of `--bind`: read it, listen on it, and say it as a URL."""

import contextlib
import os
import socket
import stat
import sys
from dataclasses import dataclass

from zmqio.exceptions import ConfigError, ServeError

__all__ = ["Listener", "describe", "listen", "listen_group", "parse_bind", "remove"]

BACKLOG = 2048
"""Connections that wait in the kernel; the same as uvicorn's default."""
SOCKET_MODE = 0o666
"""Of a unix socket, as uvicorn's: a web server has another user. Who may reach it is a matter of its folder."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen: a unix socket's `path`, or a `host` and a `port` (0: any that is free)."""

    path: str = ""
    host: str = ""
    port: int = 0


def parse_bind(text: str) -> Listener:
    """Read "127.0.0.1:8000", "[::1]:8000" or "unix:/run/app.sock".

    Raises:
        ConfigError: it is none of them.
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Listener(path=text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if colon and bare and (bare == host) == (":" not in bare) and port.isdecimal() and int(port) < 65_536:
        return Listener(host=bare, port=int(port))
    raise ConfigError(f"bind={text!r}: write host:port ('127.0.0.1:8000', '[::1]:8000') or unix:path")


def listen(bind: Listener) -> socket.socket:
    """Open the listening socket; it does not block.

    Raises:
        ServeError: the address is in use, not of this machine, or not allowed.
    """
    try:
        listener = _listen_unix(bind.path) if bind.path else _listen_tcp(bind.host, bind.port)
    except OSError as error:
        where = bind.path or f"{bind.host}:{bind.port}"
        raise ServeError(f"cannot listen on {where}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def listen_group(bind: Listener, count: int) -> list[socket.socket]:
    """Open listening sockets on one address for `count` processes; one is exactly what `listen` opens.

    On Linux each has a queue of its own, over which the kernel spreads new TCP connections; one that nobody
    accepts from keeps its queue. Elsewhere, and on a unix path, all are the same socket.

    Raises:
        ServeError: as `listen`; also where another group has the address.
    """
    first = listen(bind)
    if count == 1:
        return [first]
    if bind.path or sys.platform != "linux":
        return [first, *(first.dup() for _ in range(count - 1))]
    # Only now: bound with it, the first would share the port of another server in silence. The kernel asks for the
    # option as it is when others are bound, so there is no moment at which another could take the port.
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    group = [first]
    try:
        group += [_listen_beside(first) for _ in range(count - 1)]
    except OSError as error:
        for listener in group:
            listener.close()
        raise ServeError(f"cannot listen {count} times on {bind.host}:{bind.port}: {error.strerror}") from error
    return group


def describe(listener: socket.socket, *, tls: bool) -> str:
    """The address of a listening socket as a URL, with its real port."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"


def remove(bind: Listener) -> None:
    """Remove the file of a unix socket."""
    if bind.path:
        with contextlib.suppress(OSError):
            os.unlink(bind.path)  # noqa: PTH108  # as bytes of the option say it


def _listen_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_beside(first: socket.socket) -> socket.socket:
    listener = socket.socket(first.family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(first.getsockname())
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_unix(path: str) -> socket.socket:
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        os.chmod(path, SOCKET_MODE)  # noqa: PTH101
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead(path: str) -> None:
    """Remove a socket file that nobody listens on any more; anything else there stays, and is an error."""
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), socket.socket(socket.AF_UNIX) as asker:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return
        try:
            asker.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108
