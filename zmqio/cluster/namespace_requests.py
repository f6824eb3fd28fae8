"""Requests of one namespace to other nodes: each is published once, and its responses are unpacked in slices.

Knows the node, not its rooms and sockets: the caller chooses topic and nodes, and adds the answers of this node.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from zmqio.cluster.node import Node
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import NodeId
from zmqio.protocol.messages import Message
from zmqio.protocol.values import unpack_list

__all__ = ["SLICE_ANSWERS", "NamespaceRequests"]

SLICE_ANSWERS = 300
"""Answers unpacked in one turn of the event loop: about 3 ms for sockets with the usual handshake."""

_Answer = TypeVar("_Answer")


class NamespaceRequests:
    """Sends the requests of one namespace.

    Args:
        node: this node.
        namespace: its name, for the log.
    """

    def __init__(self, node: Node, namespace: str) -> None:
        self._node = node
        self._namespace = namespace

    async def request(
        self,
        topic: bytes,
        nodes: Collection[NodeId],
        make: Callable[[int], Message],
        timeout_s: float,
        *,
        here: list[_Answer],
        read: Callable[[Any], _Answer],
    ) -> list[_Answer]:
        """Publish a request and return the answers of this node and of the others.

        Args:
            topic: where to publish it.
            nodes: the nodes that respond; without nodes, nothing is published.
            make: makes the message with a request id.
            timeout_s: seconds to wait.
            here: the answers of this node. They come first in the result, and in the error too.
            read: reads one row of a response; raises ValueError or TypeError if the row is malformed.

        Raises:
            RequestTimeoutError: a node did not respond. The error holds the answers received and names the node.
            BusError: the request could not be published.
        """
        if not nodes:
            return here
        with self._node.responses.open(nodes) as request:
            self._node.outbox.publish(topic, make(request.id), may_wait=False)
            try:
                batches = await request.result(timeout_s)
            except RequestTimeoutError as error:
                raise RequestTimeoutError(
                    str(error),
                    responses=here + await self._unpack_all(error.responses, read),
                    expected=len(here) + error.expected,
                    missing=error.missing,
                ) from None
        return here + await self._unpack_all(batches, read)

    async def _unpack_all(self, batches: Sequence[bytes], read: Callable[[Any], _Answer]) -> list[_Answer]:
        """Unpack answers in slices, so that ten thousand of them do not block the event loop."""
        answers: list[_Answer] = []
        pause_at = SLICE_ANSWERS
        for batch in batches:
            if len(answers) >= pause_at:
                await asyncio.sleep(0)
                pause_at = len(answers) + SLICE_ANSWERS
            try:
                answers += [read(answer) for answer in unpack_list(batch)]
            except (ValueError, TypeError) as error:
                self._node.diagnostics.report(
                    "bus_message_malformed", namespace=self._namespace, reason=str(error)
                )
        return answers
