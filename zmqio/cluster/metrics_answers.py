"""Answers observers of the cluster, such as `zmqio top`, with the metrics of this node.

An observer sends no heartbeats, so no node counts it. Its requests and the answers are not numbered or replayed.
"""

import os
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from zmqio.ids import NodeId
from zmqio.metrics.samples import Sample
from zmqio.protocol.messages import FetchMetrics, Response
from zmqio.protocol.topic import inbox_topic
from zmqio.protocol.values import pack_values

__all__ = ["FRESH_S", "MetricsAnswers"]

FRESH_S = 0.2
"""Seconds for which metrics are sent again rather than read again, whoever asks."""


class AnswerSender(Protocol):
    """Sends unsequenced messages."""

    def send_unsequenced(self, topic: bytes, message: Response) -> object:
        """Send a message; does not raise if the bus fails."""


class MetricsAnswers:
    """The answers of one node.

    Args:
        prefix: the prefix of all topics.
        sender: sends the answers.
        read: returns the samples of this moment.
        clock: gives the seconds of any steady clock.

    Attributes:
        read: may be replaced before the first request.
    """

    def __init__(
        self,
        prefix: str,
        sender: AnswerSender,
        read: Callable[[], Iterable[Sample]],
        clock: Callable[[], float],
    ) -> None:
        self.read = read
        self._prefix = prefix
        self._sender = sender
        self._clock = clock
        self._host = [socket.gethostname()[:255], os.getpid()]
        self._packed = b""
        self._read_at = float("-inf")

    def answer(self, observer: NodeId, request: FetchMetrics) -> None:
        """Send the metrics to the inbox of the observer."""
        now = self._clock()
        if now - self._read_at >= FRESH_S:
            self._packed = pack_values([self._host, *self.read()])
            self._read_at = now
        response = Response(request.request_id, self._packed, last=True)
        self._sender.send_unsequenced(inbox_topic(self._prefix, observer), response)
