"""What the namespaces of one server share."""

from collections import Counter
from dataclasses import dataclass, field

from zmqio.adapter.base import Identity
from zmqio.config import ServerOptions
from zmqio.protocol.parser import Parser
from zmqio.server.fanout import FanOut
from zmqio.server.tasks import Tasks
from zmqio.transport.engine import Engine, Prepared

__all__ = ["Runtime"]


@dataclass(slots=True)
class Runtime:
    """The parts that one process has once.

    Attributes:
        options: limits of this server.
        parser: encodes and decodes Socket.IO packets.
        identity: this run of this process.
        engine: the Engine.IO half.
        tasks: what handlers run in.
        fanout: the FIFO of broadcasts.
        counters: what was dropped or failed, by name.
    """

    options: ServerOptions
    parser: Parser
    identity: Identity
    engine: Engine
    tasks: Tasks = field(default_factory=Tasks)
    fanout: FanOut[Prepared] = field(default_factory=FanOut)
    counters: Counter[str] = field(default_factory=Counter)
