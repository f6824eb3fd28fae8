"""The zmqio broker: one small process that connects zmqio nodes and outside services over ZeroMQ.

It forwards frames and does not know Socket.IO. `zmqio` and `zmqio_broker` never import each other; they share only
the wire protocol. Start it with `zmqio broker` or `python -m zmqio_broker`.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run the broker's command line until SIGINT or SIGTERM, then exit.

    Args:
        args: command-line arguments without the program name; None for those of this process.

    Raises:
        SystemExit: always. 0 after a clean stop, 1 if the broker cannot start or has failed, 2 for a wrong option.
    """
    from zmqio_broker.__main__ import cli

    cli(args=None if args is None else list(args), prog_name="zmqio broker")
