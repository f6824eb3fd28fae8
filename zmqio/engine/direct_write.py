"""The shortest way to one client, and a broadcast's loop over many of them.

A broadcast to a thousand clients is bound by memory: what it touches of each is not in the processor's cache. So
all that it needs of a client is in one small object, and the frames go into the connection's descriptor without a
look at session and transport: a sixth of a delivery's cost less.

Knows descriptors and frames; must not know sessions.
"""

from collections.abc import Callable, Iterable
from os import write as write_to
from typing import Protocol, TypeAlias

from zmqio.engine.packets import Prepared

__all__ = ["NO_FD", "DirectWriter", "Frames", "PacketWriter", "broadcast_frames"]

NO_FD = -1
"""In place of a descriptor: there is none."""


Frames: TypeAlias = Callable[[bytes | memoryview], object]
"""Writes encoded WebSocket frames."""


class PacketWriter(Protocol):
    """How to write to one client; never blocks, never fails."""

    def __call__(self, payload: Prepared, /, *, volatile: bool = False) -> None: ...


class DirectWriter:
    """The way to one client.

    Args:
        way: writes whatever state the client is in.

    Attributes:
        way: as given.
        direct: writes WebSocket frames into the connection; None unless the client is on the fast path, nothing
            waits for it, and it takes what is written.
        fd: the connection's descriptor while `direct` may be passed by, too: its transport has nothing to send, so
            nothing is overtaken. Else -1.
    """

    __slots__ = ("direct", "fd", "way")

    def __init__(self, way: PacketWriter) -> None:
        self.way = way
        self.direct: Frames | None = None
        self.fd = NO_FD

    def open(self, direct: Frames, fd: int) -> None:
        """The connection takes frames."""
        self.direct = direct
        self.fd = fd

    def close(self) -> None:
        """It does not, or something waits that has to go first."""
        self.direct = None
        self.fd = NO_FD

    def finish(self, frames: bytes, sent: int) -> None:
        """Give the rest of some frames to the transport, which lets it wait, or finds the connection broken."""
        if self.direct is not None:
            # Not a copy: the rest of one large broadcast may wait for many clients.
            self.direct(memoryview(frames)[sent:])


def broadcast_frames(writers: Iterable[DirectWriter | None], payload: Prepared, /, *, volatile: bool) -> None:
    """Write the same packets to many clients.

    Args:
        writers: of the clients; None for one that has gone.
        payload: what to write.
        volatile: drop it where something waits for the client already.
    """
    frames, size = b"", 0
    for direct_writer in writers:
        if direct_writer is None:
            continue
        fd = direct_writer.fd
        if fd < 0:
            direct_writer.way(payload, volatile=volatile)
            continue
        if not size:  # a room without WebSocket clients never needs them
            frames = payload.ws_frames
            size = len(frames)
        try:
            sent = write_to(fd, frames)
        except OSError:  # it is full, or its client has gone
            sent = 0
        if sent != size:
            direct_writer.finish(frames, sent)
