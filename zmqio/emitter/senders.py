"""The contract between emitters and a bus: send frames, and wait until they have arrived there."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["AsyncSender", "Sender"]


class Sender(Protocol):
    """Sends from any thread; usable on both sides of a fork."""

    @property
    def addresses(self) -> Sequence[str]:
        """The destination, for log lines and errors."""

    def send(self, frame: bytes) -> None:
        """Send or queue one frame, topic and body.

        Raises:
            BusUnavailableError: it was not sent.
            MessageTooLargeError: the bus accepts only smaller ones; it was not sent.
        """

    def flush(self, timeout_s: float) -> None:
        """Wait until the bus has all frames sent before.

        Raises:
            BusUnavailableError: the bus cannot be reached.
            RequestTimeoutError: the bus confirmed nothing within `timeout_s`.
        """

    def close(self) -> None:
        """Send what is queued, within a time limit, and close. A later `send` connects again."""

    def close_sync(self) -> None:
        """Do the same when the emitter is collected, or the process ends."""


class AsyncSender(Protocol):
    """The same for one event loop, which it does not block."""

    @property
    def addresses(self) -> Sequence[str]:
        """The destination, for log lines and errors."""

    async def send(self, frame: bytes) -> None:
        """Send or queue one frame, in the order of the calls; raises as `Sender.send`."""

    async def flush(self, timeout_s: float) -> None:
        """Wait until the bus has all frames sent before; raises as `Sender.flush`."""

    async def close(self) -> None:
        """Send what is queued, within a time limit, and close. A later `send` connects again."""

    def close_sync(self) -> None:
        """Do the same without an event loop. Does nothing in a forked child."""
