"""Write one broadcast to many clients, where possible directly into their connections' file descriptors.

A broadcast to a thousand clients is bound by memory access: the state of each client is outside the processor's
cache. Everything that the loop needs of a client is therefore in one small object, and the frames bypass session
and transport. Beside `transport.write`, that saves 14 to 21 % of a single broadcast's CPU (1,000 clients, uvloop).
The engine option `direct_writes` switches it off.

Knows descriptors and frames; must not know sessions.
"""

from collections.abc import Callable, Iterable
from os import write as write_to
from typing import Protocol, TypeAlias

from zmqio.engine.packets import Prepared

__all__ = ["NO_FD", "DirectWriter", "Frames", "PacketWriter", "broadcast_frames"]

NO_FD = -1
"""Stands for a file descriptor where there is none to write to."""


Frames: TypeAlias = Callable[[bytes | memoryview], object]
"""Writes encoded WebSocket frames."""


class PacketWriter(Protocol):
    """Writes packets to one client; never blocks and never raises."""

    def __call__(self, payload: Prepared, /, *, volatile: bool = False) -> None: ...


class DirectWriter:
    """The way in which a broadcast writes to one client.

    Args:
        write_packets: writes to the client in every state of its connection.

    Attributes:
        write_packets: as given.
        write_frames: writes WebSocket frames to the transport. None unless the client has a direct WebSocket whose
            connection accepts data, and nothing is buffered for it.
        fd: file descriptor to write to while the transport's buffer is empty, so that order is preserved;
            otherwise -1.
        deflate_bytes: packets of at least this size are compressed; 0 if none is.
    """

    __slots__ = ("deflate_bytes", "fd", "write_frames", "write_packets")

    def __init__(self, write_packets: PacketWriter) -> None:
        self.write_packets = write_packets
        self.write_frames: Frames | None = None
        self.fd = NO_FD
        self.deflate_bytes = 0

    def frames_of(self, payload: Prepared) -> bytes:
        """Return the packets' frames in the form that this client takes."""
        if 0 < self.deflate_bytes <= payload.size_bytes:
            return payload.deflated_frames
        return payload.ws_frames

    def open(self, write_frames: Frames, fd: int) -> None:
        """Allow direct writes: the connection accepts frames."""
        self.write_frames = write_frames
        self.fd = fd

    def close(self) -> None:
        """End direct writes: the connection is full or closing, or buffered packets must be sent first."""
        self.write_frames = None
        self.fd = NO_FD

    def end(self) -> None:
        """Drop packets from now on: the session, to which `write_packets` refers, has ended."""
        self.close()
        self.write_packets = _drop

    def write_rest(self, frames: bytes, sent: int) -> None:
        """Pass the unsent remainder to the transport, which buffers it or detects a closed connection."""
        if self.write_frames is not None:
            # Not a copy: many clients may buffer the remainder of one large broadcast.
            self.write_frames(memoryview(frames)[sent:])


def broadcast_frames(writers: Iterable[DirectWriter | None], payload: Prepared, /, *, volatile: bool) -> None:
    """Write the same packets to many clients.

    Args:
        writers: the writers of the clients; None for a client that has disconnected.
        payload: the packets.
        volatile: drop the packets for clients that have others buffered.
    """
    frames, size = b"", 0
    for writer in writers:
        if writer is None:
            continue
        fd = writer.fd
        if fd < 0:
            writer.write_packets(payload, volatile=volatile)
            continue
        if writer.deflate_bytes:
            _write_to_one(writer, writer.frames_of(payload))
            continue
        if not size:  # encoded only if the room has a direct WebSocket
            frames = payload.ws_frames
            size = len(frames)
        try:
            sent = write_to(fd, frames)
        except OSError:  # the socket's buffer is full, or the client has disconnected
            sent = 0
        if sent != size:
            writer.write_rest(frames, sent)


def _drop(payload: Prepared, /, *, volatile: bool = False) -> None:
    pass


def _write_to_one(writer: DirectWriter, frames: bytes) -> None:
    """As the loop of `broadcast_frames`, for a client that takes other frames than most."""
    try:
        sent = write_to(writer.fd, frames)
    except OSError:
        sent = 0
    if sent != len(frames):
        writer.write_rest(frames, sent)
