"""Publish from outside the cluster: `Emitter` without an event loop, `AsyncEmitter` on one. Neither is a node."""

from zmqio.emitter.async_emitter import AsyncEmitter
from zmqio.emitter.operator import BroadcastOperator
from zmqio.emitter.sync_emitter import Emitter

__all__ = ["AsyncEmitter", "BroadcastOperator", "Emitter"]
