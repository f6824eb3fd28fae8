"""The address of `--bind`: parse it, listen on it, and format it as a URL."""

import contextlib
import os
import socket
import stat
import sys
from dataclasses import dataclass

from zmqio.exceptions import ConfigError, ServeError

__all__ = [
    "BindAddress",
    "listen",
    "listen_group",
    "listener_url",
    "parse_bind",
    "parse_metrics_address",
    "remove_socket_file",
]

BACKLOG = 2048
"""Connections that the kernel queues before they are accepted; uvicorn's default."""
SOCKET_MODE = 0o666
"""Mode of a unix socket, as in uvicorn: a web server runs as another user. The folder's mode restricts access."""


@dataclass(frozen=True, slots=True)
class BindAddress:
    """An address to listen on: the `path` of a unix socket, or a `host` and a `port` (0 for any free port)."""

    path: str = ""
    host: str = ""
    port: int = 0


def parse_bind(text: str) -> BindAddress:
    """Parse "127.0.0.1:8000", "[::1]:8000" or "unix:/run/app.sock".

    Raises:
        ConfigError: the text has another form.
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        return BindAddress(path=text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if colon and bare and (bare == host) == (":" not in bare) and port.isdecimal() and int(port) < 65_536:
        return BindAddress(host=bare, port=int(port))
    raise ConfigError(
        f"bind={text!r} is not an address; use host:port ('127.0.0.1:8000', '[::1]:8000') or unix:path"
    )


def parse_metrics_address(text: str) -> BindAddress:
    """Parse the address of the metrics: a port alone, for this machine only, or as `parse_bind`.

    Raises:
        ConfigError: the text has another form.
    """
    try:
        return parse_bind(f"127.0.0.1:{text}" if text.isdecimal() else text)
    except ConfigError as error:
        raise ConfigError(
            f"metrics={text!r} is not an address; use a port (9100), host:port ('10.0.0.5:9100') or unix:path"
        ) from error


def listen(bind: BindAddress) -> socket.socket:
    """Open a non-blocking listening socket.

    Raises:
        ServeError: the address is in use, does not belong to this machine, or is not permitted.
    """
    try:
        listener = _listen_unix(bind.path) if bind.path else _listen_tcp(bind.host, bind.port)
    except OSError as error:
        where = bind.path or f"{bind.host}:{bind.port}"
        raise ServeError(f"cannot listen on {where}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def listen_group(bind: BindAddress, count: int) -> list[socket.socket]:
    """Open `count` listening sockets on one address, one per accepting process.

    On Linux each TCP socket has a queue of its own, and the kernel spreads new connections over the queues. A
    queue from which no process accepts keeps its connections. On other systems, and on a unix path, all are
    duplicates of one socket.

    Raises:
        ServeError: as for `listen`; also if another group listens on the address.
    """
    first = listen(bind)
    if count == 1:
        return [first]
    if bind.path or sys.platform != "linux":
        return [first, *(first.dup() for _ in range(count - 1))]
    # Set after the first bind: set before, it would silently share the port of another server. The kernel compares
    # the option at the time of the other binds, so no other server can take the port in between.
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    group = [first]
    try:
        group += [_listen_beside(first) for _ in range(count - 1)]
    except OSError as error:
        for listener in group:
            listener.close()
        raise ServeError(f"cannot listen {count} times on {bind.host}:{bind.port}: {error.strerror}") from error
    return group


def listener_url(listener: socket.socket, *, tls: bool) -> str:
    """Format the address of a listening socket, with its actual port, as a URL."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{'https' if tls else 'http'}://{host}:{name[1]}"


def remove_socket_file(bind: BindAddress) -> None:
    """Remove the file of a unix socket; do nothing for another address."""
    if bind.path:
        with contextlib.suppress(OSError):
            os.unlink(bind.path)  # noqa: PTH108  # the path exactly as given


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
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        os.chmod(path, SOCKET_MODE)  # noqa: PTH101
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the file of a unix socket on which no process listens. Another file stays, and makes bind fail."""
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108
