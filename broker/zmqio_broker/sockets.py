"""The broker's sockets and every option on them, each with the reason why it must be so.

Measured with pyzmq 27.3 / libzmq 4.3.5; the traps named here were all reproduced.
"""

import contextlib
import errno
import socket as unix
from collections.abc import Iterable
from pathlib import Path

import zmq

from zmqio_broker.options import BrokerOptions

__all__ = [
    "INSIDE_ADDRESS",
    "BindError",
    "bind",
    "connect_acknowledger",
    "connect_inside_publisher",
    "make_control",
    "make_ingest",
    "make_publish",
    "make_subscribe",
    "remove_folder",
    "remove_paths",
]

INSIDE_ADDRESS = "inproc://publish"
"""Where publishers inside this process (ingest, acknowledgements) join the data path."""

CONTROL_MAX_REQUEST_BYTES = 64 << 10
CONTROL_QUEUE_MESSAGES = 1_000

# Nodes answer from their event loop. Tighter ones create loss: a node that computes for some seconds would be cut
# off, with what waits for it.
HEARTBEAT_INTERVAL_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 15_000

# Any name: with a ZAP domain set, libzmq refuses peers that speak ZMTP 1.0 or 2.0 (before 2012). Without it,
# every stranger is such a peer: an HTTP request or a TLS hello is cut into "messages" and published.
# There is no ZAP handler in this process, so nothing else changes.
ZAP_DOMAIN = b"zmqio"


class BindError(Exception):
    """An endpoint could not be bound; the text is one line that says which, why and what to do."""


def make_publish(context: zmq.Context[zmq.Socket[bytes]], options: BrokerOptions) -> zmq.Socket[bytes]:
    """Make the XSUB that publishers connect to; what is received is not bounded here (see the comments)."""
    socket = _make(context, zmq.XSUB)
    # With a bound, subscriptions past 1,000 vanish silently on their way to the publishers.
    socket.setsockopt(zmq.SNDHWM, 0)
    # The one exception to "every queue has a bound": with 1,000 and heartbeats, a broker that was paused has been
    # seen to abort inside libzmq when it went on (not every time; the known assertion of a bounded receiver with
    # heartbeats is zeromq/libzmq#3937). The proxy empties this queue faster than one I/O thread fills it.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, options.max_message_bytes)
    return socket


def make_subscribe(context: zmq.Context[zmq.Socket[bytes]], options: BrokerOptions) -> zmq.Socket[bytes]:
    """Make the XPUB that nodes subscribe to: bounded for each node; a full queue drops (replay repairs)."""
    socket = _make(context, zmq.XPUB)
    # Never XPUB_NODROP here: then one stopped node would stall all the others. Hence a bound that drops.
    socket.setsockopt(zmq.SNDHWM, options.node_queue_messages)
    # Subscriptions only: as many as the nodes have rooms. A bound would delay those past it behind messages that
    # the barrier promises to deliver, and could bring the abort named above.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, options.max_message_bytes)
    return socket


def make_ingest(context: zmq.Context[zmq.Socket[bytes]], options: BrokerOptions) -> zmq.Socket[bytes]:
    """Make the PULL that outside services push to: bounded for each sender; a full queue slows that sender."""
    socket = _make(context, zmq.PULL)
    socket.setsockopt(zmq.RCVHWM, options.ingest_queue_messages)
    socket.setsockopt(zmq.MAXMSGSIZE, options.max_message_bytes)
    return socket


def make_control(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make the ROUTER that answers hello and statistics."""
    socket = _make(context, zmq.ROUTER)
    socket.setsockopt(zmq.RCVHWM, CONTROL_QUEUE_MESSAGES)
    socket.setsockopt(zmq.SNDHWM, CONTROL_QUEUE_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, CONTROL_MAX_REQUEST_BYTES)
    return socket


def connect_acknowledger(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make the XPUB inside that hears of subscriptions and answers on the data path."""
    # Its inbox holds what nodes subscribe to and the thread has not read yet; a bound would lose subscriptions
    # silently, see SNDHWM of the XSUB.
    return _connect_inside(context, zmq.XPUB)


def connect_inside_publisher(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make a PUB that publishes into the data path; the XSUB has to be bound to `INSIDE_ADDRESS` already."""
    return _connect_inside(context, zmq.PUB)


def _connect_inside(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    # An inproc queue has no bound if one of its ends has none, and the XSUB must have none: said, not hidden.
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.connect(INSIDE_ADDRESS)
    return socket


def bind(socket: zmq.Socket[bytes], role: str, address: str) -> None:
    """Bind an outside endpoint.

    Raises:
        BindError: it is in use, or cannot be had for another reason.
    """
    if address.startswith("ipc://") and _is_served(address):
        raise BindError(_in_use(role, address))
    # Only where asked for: on a machine without IPv6 the option makes IPv4 addresses fail as well.
    socket.setsockopt(zmq.IPV6, int("[" in address))
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise BindError(_in_use(role, address)) from error
        raise BindError(
            f"cannot bind the {role} endpoint {address}: {zmq.strerror(error.errno or 0)}; "
            "choose another address with --bind"
        ) from error


def remove_paths(addresses: Iterable[str]) -> None:
    """Remove the socket files of ipc endpoints that this process had bound; libzmq leaves them behind."""
    for address in addresses:
        if address.startswith("ipc://"):
            Path(address.removeprefix("ipc://")).unlink(missing_ok=True)


def remove_folder(address: str) -> None:
    """Remove the folder of an ipc endpoint if nothing is in it."""
    if address.startswith("ipc://"):
        with contextlib.suppress(OSError):
            Path(address.removeprefix("ipc://")).parent.rmdir()


def _make(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    # A stop must not wait for a node that does not read; what is lost by it, replay repairs.
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    return socket


def _is_served(address: str) -> bool:
    """Whether somebody listens on an ipc path: libzmq would take the path away from a running broker."""
    path = Path(address.removeprefix("ipc://"))
    if not path.is_socket():
        return False
    with unix.socket(unix.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _in_use(role: str, address: str) -> str:
    scheme, _, rest = address.partition("://")
    what = f"port {rest.rpartition(':')[2]}" if scheme == "tcp" else f"path {rest}"
    return (
        f"{what} for the {role} endpoint ({address}) is in use, perhaps by another broker; "
        "stop that process, or choose another base address with --bind"
    )
