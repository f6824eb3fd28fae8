"""The upgrade of a polling session to a WebSocket: the probe, then the switch, within a time limit.

Until the client sends `upgrade`, polling continues. Buffered packets are then sent through the WebSocket first, so
that no packet is lost, duplicated or reordered.

Source: Engine.IO protocol v4, "Upgrade"; engine.io 6, `Socket._maybeUpgrade`.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.packets import PROBE_RESPONSE
from zmqio.engine.polling import PollingTransport
from zmqio.engine.session import TOO_LARGE, Session, SessionOwner
from zmqio.engine.websocket import VIOLATION, attach, data_of, read_until_closed
from zmqio.engine.websocket_transports import close_websocket

__all__ = ["begin_upgrade"]

PROBE = "2probe"
UPGRADE = "5"


async def begin_upgrade(
    session: Session, owner: SessionOwner, scope: Mapping[str, Any], receive: Receive, send: Send
) -> Awaitable[None]:
    """Probe an accepted WebSocket of a polling session, and switch the session to it.

    If the client does not complete the upgrade within `upgrade_timeout_s`, or sends anything else, the WebSocket
    is closed and polling continues.

    Returns:
        what reads the WebSocket until it closes, or closes it.
    """
    # The session may have ended while the WebSocket was accepted: other ASGI servers than ours wait there.
    if session.closed or not await _probe(session, owner, receive, send):
        return close_websocket(send, 1000)
    wire = attach(session, owner, scope, send)
    return read_until_closed(session, receive, wire)


async def _probe(session: Session, owner: SessionOwner, receive: Receive, send: Send) -> bool:
    transport = session.transport
    assert isinstance(transport, PollingTransport)  # only polling sessions are upgraded
    session.upgrading = True
    limit_s = owner.options.upgrade_timeout_s
    limit = asyncio.timeout(limit_s)
    try:
        async with limit as session.probe_limit:
            upgrade_requested = await _exchange_probe(session, transport, receive, send)
    except OSError:  # also TimeoutError: of the limit, which the end of the session brings forward, or of `send`
        upgrade_requested = False
        if limit.expired() and not session.closed:
            owner.notices.info("upgrade_timed_out", sid=session.sid, limit_s=limit_s)
    finally:
        session.upgrading = False
        session.probe_limit = None
    if not upgrade_requested or session.closed:
        return False
    transport.refuse_poll()
    return True


async def _exchange_probe(session: Session, transport: PollingTransport, receive: Receive, send: Send) -> bool:
    """Answer probes until the client requests the upgrade; return False on any other message."""
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            if VIOLATION in message and message["code"] == TOO_LARGE:
                session.note_too_large()
            return False
        packet = data_of(message)
        if packet == UPGRADE:
            return True
        if packet != PROBE:
            return False
        await send({"type": "websocket.send", "text": PROBE_RESPONSE.packets[0]})
        transport.end_poll_after_probe()
