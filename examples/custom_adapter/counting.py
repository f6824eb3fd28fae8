"""A custom adapter: it counts the broadcasts to each room and delivers them as usual."""

from collections import Counter
from typing import ClassVar

import zmqio


class CountingAdapter(zmqio.LocalAdapter):
    """Counts the broadcasts of this process by room."""

    sent: ClassVar[Counter[str]] = Counter()

    async def broadcast(self, frames: zmqio.Frames, target: zmqio.Target) -> None:
        self.sent.update(target.rooms or ("(everybody)",))
        await super().broadcast(frames, target)


io = zmqio.Server(adapter=CountingAdapter)
app = io.asgi()
