"""The broker's sockets, with the reason for each socket option.

Measured with pyzmq 27.3 and libzmq 4.3.5. Every failure described here was reproduced.
"""

import contextlib
import errno
import socket as unix
from collections.abc import Iterable
from pathlib import Path

import zmq

from zmqio_broker.options import BrokerOptions

__all__ = [
    "INPROC_ADDRESS",
    "BindError",
    "bind",
    "connect_acknowledger",
    "connect_inproc_publisher",
    "make_control",
    "make_ingest",
    "make_publish",
    "make_subscribe",
    "remove_folder",
    "remove_paths",
]

INPROC_ADDRESS = "inproc://publish"
"""Address at which publishers inside this process (ingest, acknowledgements) join the data path."""

# libzmq stores a topic as a tree with a node for each byte: 1 MB of topic takes 129 MB of memory, and at 7 MB the
# recursive destructor of the tree overflows the stack. Nodes use topics of at most 3,000 bytes or so.
SUBSCRIPTION_MAX_BYTES = 4_096
# Kernel buffer for the subscriptions of one node: libzmq reads its content after a shutdown, too.
SUBSCRIPTION_BUFFER_BYTES = 128 << 10
UPSTREAM_QUEUE_MESSAGES = 1_000
CONTROL_MAX_REQUEST_BYTES = 64 << 10
CONTROL_QUEUE_MESSAGES = 1_000

# Nodes answer heartbeats from their event loop. A shorter timeout would disconnect a node that computes for some
# seconds, and drop its queue. Nodes send heartbeats of their own, so the broker's only find dead connections.
HEARTBEAT_INTERVAL_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 15_000

# Any name will do: with a ZAP domain set, libzmq rejects peers that speak ZMTP 1.0 or 2.0 (before 2012). Without
# one, libzmq takes every foreign protocol for such a peer: an HTTP request or a TLS hello is cut into "messages"
# and published. This process has no ZAP handler, so nothing else changes.
ZAP_DOMAIN = b"zmqio"


class BindError(Exception):
    """An endpoint could not be bound. The text is one line: which endpoint, why, and what to do."""


def make_publish(context: zmq.Context[zmq.Socket[bytes]], options: BrokerOptions) -> zmq.Socket[bytes]:
    """Make the XSUB that publishers connect to. Its receive queue has no limit (see the comments)."""
    socket = _make(context, zmq.XSUB)
    # The queue of subscriptions for each publisher; further ones are dropped. The first one, to everything, is the
    # only one that publishers need. The queue for the acknowledger is unlimited, because its end has no limit.
    socket.setsockopt(zmq.SNDHWM, UPSTREAM_QUEUE_MESSAGES)
    # The one exception to "every queue has a limit". With a limit of 1,000 and heartbeats, a suspended broker
    # sometimes aborted inside libzmq when it was continued (the known assertion of a limited receiver with
    # heartbeats is zeromq/libzmq#3937). The proxy empties this queue faster than one I/O thread fills it.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, options.max_message_bytes)
    return socket


def make_subscribe(context: zmq.Context[zmq.Socket[bytes]], options: BrokerOptions) -> zmq.Socket[bytes]:
    """Make the XPUB that nodes subscribe to. The queue of each node is limited; when full, it drops messages."""
    socket = _make(context, zmq.XPUB)
    # Never XPUB_NODROP: one suspended node would stall all others. Nodes recover dropped messages by replay.
    socket.setsockopt(zmq.SNDHWM, options.node_queue_messages)
    # Receives subscriptions only, as many as the nodes have rooms. With a limit, further subscriptions would be
    # delayed behind messages that the barrier promises to deliver, and libzmq could abort as described above.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, SUBSCRIPTION_MAX_BYTES)
    socket.setsockopt(zmq.RCVBUF, SUBSCRIPTION_BUFFER_BYTES)
    return socket


def make_ingest(context: zmq.Context[zmq.Socket[bytes]], options: BrokerOptions) -> zmq.Socket[bytes]:
    """Make the PULL that outside services push to. Each sender has a limited queue; a full one slows it down."""
    socket = _make(context, zmq.PULL)
    socket.setsockopt(zmq.RCVHWM, options.ingest_queue_messages)
    socket.setsockopt(zmq.MAXMSGSIZE, options.max_message_bytes)
    return socket


def make_control(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make the ROUTER that answers hello and statistics requests."""
    socket = _make(context, zmq.ROUTER)
    socket.setsockopt(zmq.RCVHWM, CONTROL_QUEUE_MESSAGES)
    socket.setsockopt(zmq.SNDHWM, CONTROL_QUEUE_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, CONTROL_MAX_REQUEST_BYTES)
    return socket


def connect_acknowledger(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make the inproc socket that reads subscriptions and publishes acknowledgements on the data path.

    A DEALER, because it does not store subscriptions as an XPUB does: 1.8 KB for a random topic of 30 bytes. Over
    inproc, libzmq does not compare the types of the two sockets.
    """
    # Its receive queue holds subscriptions that the thread has not read yet. A limit would silently drop some.
    return _connect_inproc(context, zmq.DEALER, receive_queue_messages=0)


def connect_inproc_publisher(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Make a socket that publishes into the data path. The XSUB must already be bound to `INPROC_ADDRESS`.

    A PUSH: it does not store subscriptions as a PUB does, or read them. The few that fill its queue stay there.
    """
    return _connect_inproc(context, zmq.PUSH, receive_queue_messages=1)


def _connect_inproc(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, *, receive_queue_messages: int
) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVHWM, receive_queue_messages)
    # An inproc queue is unlimited if either end is, and the XSUB must be. Stated here to make it visible.
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.connect(INPROC_ADDRESS)
    return socket


def bind(socket: zmq.Socket[bytes], role: str, address: str) -> None:
    """Bind an endpoint for outside connections.

    Raises:
        BindError: the address is in use or cannot be bound for another reason.
    """
    if address.startswith("ipc://") and _has_listener(address):
        raise BindError(_in_use_text(role, address))
    # Not for IPv4 addresses and names: on a machine without IPv6, the option makes them fail. For `*` libzmq then
    # binds the IPv4 interfaces alone.
    socket.setsockopt(zmq.IPV6, int("[" in address or address.startswith("tcp://*:")))
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise BindError(_in_use_text(role, address)) from error
        raise BindError(
            f"cannot bind the {role} endpoint {address}: {zmq.strerror(error.errno or 0)}; "
            "choose another address with --bind"
        ) from error


def remove_paths(addresses: Iterable[str]) -> None:
    """Remove the socket files of ipc endpoints that this process has bound; libzmq leaves them behind."""
    for address in addresses:
        if address.startswith("ipc://"):
            Path(address.removeprefix("ipc://")).unlink(missing_ok=True)


def remove_folder(address: str) -> None:
    """Remove the folder of an ipc endpoint if it is empty."""
    if address.startswith("ipc://"):
        with contextlib.suppress(OSError):
            Path(address.removeprefix("ipc://")).parent.rmdir()


def _make(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    # A stop must not wait for a node that does not read. Nodes recover dropped messages by replay.
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    return socket


def _has_listener(address: str) -> bool:
    """Whether a process listens on an ipc path. libzmq itself would take the path away from a running broker."""
    path = Path(address.removeprefix("ipc://"))
    if not path.is_socket():
        return False
    with unix.socket(unix.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _in_use_text(role: str, address: str) -> str:
    scheme, _, rest = address.partition("://")
    what = f"port {rest.rpartition(':')[2]}" if scheme == "tcp" else f"path {rest}"
    return (
        f"{what} for the {role} endpoint ({address}) is in use, perhaps by another broker; "
        "stop that process, or choose another base address with --bind"
    )
