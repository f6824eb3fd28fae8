"""The Engine.IO server: finds the session of each request, opens new sessions, and closes them all.

A subclass of python-engineio's server, of which it uses the options, the registry of sessions and the cookie
rules. Where python-engineio departs from the official protocol, the modules of this package replace it.
Everything runs on one event loop; nothing is thread-safe.

Source: Engine.IO protocol v4 (https://github.com/socketio/engine.io-protocol); engine.io 6 where it is silent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from zmqio.config import EngineOptions
from zmqio.engine import websocket
from zmqio.engine.contracts import ConnectionEvents, TransportName
from zmqio.engine.cors import CorsDecision, CorsPolicy
from zmqio.engine.engineio_base import EngineioServer
from zmqio.engine.foreign_sessions import UnknownSessions
from zmqio.engine.handshake import (
    BAD_REQUEST,
    FORBIDDEN,
    SESSION_HEADERS,
    SHUTTING_DOWN,
    ClientRequest,
    Refusal,
    check_handshake,
    check_head,
    check_query,
    check_session_request,
    check_transport,
    head_bytes,
    open_packet,
    read_parameters,
    read_request,
)
from zmqio.engine.heartbeat import HeartbeatSchedule, HeartbeatTimer
from zmqio.engine.http_exchange import RELAYED, Exchange, Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.packets import Prepared
from zmqio.engine.polling import PollingTransport
from zmqio.engine.session import Session
from zmqio.engine.session_limits import SessionLimits
from zmqio.engine.silent_sessions import SilentSessions
from zmqio.engine.slow_sessions import SlowSessions
from zmqio.engine.upgrade import begin_upgrade
from zmqio.ids import NodeTag
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.trusted_proxies import TrustedProxies

__all__ = ["Accept", "ClientRequest", "ConnectionEvents", "Engine", "Prepared", "Session"]

log = get_logger(__name__)

Accept = Callable[[Session, ClientRequest], ConnectionEvents]
"""Called after a successful handshake, before the client receives the open packet. It must not block."""

# Longest time for which `close` waits for open requests.
CLOSE_WAIT_S = 5.0


class Engine(EngineioServer):
    """Serves Engine.IO over ASGI.

    Args:
        options: limits and features.
        tag: the node tag, with which every session id begins.
        accept: creates the `ConnectionEvents` of each new connection.

    Attributes:
        counters: `sessions_opened`, `sessions_closed`, `clients_dropped`, `volatile_client_messages_dropped`,
            `packets_rejected`, `packets_malformed`, `messages_failed`, `origins_refused`, `sessions_unknown`,
            `bodies_timed_out`, `bodies_displaced`, `sessions_refused`, `sessions_expired`, `sessions_upgraded`.
        websockets: number of open sessions whose transport is WebSocket.
        notices: the rate-limited log for events that clients can cause at will.
        unknown_sessions: handles requests for sessions that this process does not have.
    """

    def __init__(self, options: EngineOptions, tag: NodeTag, accept: Accept) -> None:
        super().__init__(options, tag)
        self.websockets = 0
        self.notices = LimitedLog(log)
        self.unknown_sessions = UnknownSessions(tag, self.counters, self.notices)
        self._accept = accept
        self._cors = CorsPolicy(options)
        self._proxies = TrustedProxies(options.trusted_proxies)
        self._heartbeat: HeartbeatTimer[Session] = HeartbeatTimer(
            HeartbeatSchedule(options.ping_interval_s, options.ping_timeout_s), Session.ping, _end_without_pong
        )
        self._limits = SessionLimits(options)
        self._silent: SilentSessions[Session] = SilentSessions(options.first_packet_timeout_s, self._expire)
        self._slow: SlowSessions[Session] = SlowSessions(
            options.slow_client_grace_s, options.slow_clients_bytes, Session.drop_slow_client, Session.displace
        )
        self._jobs: set[asyncio.Task[None]] = set()
        self._requests = 0
        self._idle_event = asyncio.Event()
        self._empty_event = asyncio.Event()
        self._is_accepting = True
        self._is_closing = False

    @property
    def active_requests(self) -> int:
        """Number of requests being served, including WebSockets."""
        return self._requests

    def prepare(self, frames: Sequence[str | bytes], /) -> Prepared:
        """Prepare Engine.IO messages for `Session.write`. Each transport's form is encoded at most once."""
        return Prepared.of_messages(frames)

    async def handle(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI `http` or `websocket` scope, on any path."""
        self._requests += 1
        try:
            if scope["type"] == "websocket":
                rest = await self._begin_websocket(scope, receive, send)
                if rest is not None:
                    await rest
            else:
                await self._respond(scope, receive, send)
        except OSError:
            pass  # the client disconnected during the response; its session notices by itself
        finally:
            self._request_ended()

    handle_request = handle  # python-engineio's name

    def stop_accepting(self) -> None:
        """Refuse handshakes with 503 from now on; open sessions are still served."""
        self._is_accepting = False

    async def wait_until_empty(self) -> None:
        """Wait until no session is open."""
        while self.sockets:
            self._empty_event.clear()
            await self._empty_event.wait()

    async def close(self, reason: str = "server shutting down") -> None:
        """End all sessions with `reason` and wait up to 5 s for open requests; new requests are refused with 503.

        WebSocket clients receive their buffered packets if they read them within that time.
        """
        self._is_accepting = False
        self._is_closing = True
        for session in list(self.sockets.values()):
            session.close_soon(reason)
            if not session.transport.ready and session.transport.empty:
                session.end(reason)  # no request will fetch its packets
        self._heartbeat.stop()
        self._silent.stop()
        self._slow.stop()
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self._wait_until_idle()
        except TimeoutError:
            log.warning("requests_abandoned", count=self._requests, limit_s=CLOSE_WAIT_S)
        for session in list(self.sockets.values()):
            session.end(reason, abort=True)
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await asyncio.sleep(0)  # the loop calls `ConnectionEvents.closed`

    async def shutdown(self) -> None:
        """Close; python-engineio's name for `close`."""
        await self.close()

    # For sessions (`SessionOwner`).

    def session_closed(self, session: Session) -> None:
        """Remove a session that has ended."""
        self.counters["sessions_closed"] += 1
        if session.transport_name == "websocket":
            self.websockets -= 1
        self.sockets.pop(session.sid, None)
        self._limits.closed(session.sid)
        self._heartbeat.forget(session)
        self._silent.remove(session)
        self._slow.remove(session)
        if not self.sockets:
            self._empty_event.set()

    def session_closing(self, session: Session) -> None:
        """Stop the heartbeat of a session that is closing; it has a time-out of its own."""
        self._heartbeat.forget(session)

    def pong_received(self, session: Session) -> None:
        """Schedule the next ping: the client has answered the last."""
        self._silent.remove(session)
        self._heartbeat.begin(session)

    def extend_pong_deadline(self, session: Session) -> None:
        """Restart the time-out of a due pong: the client has sent its first packet, or its first since a ping."""
        self._silent.remove(session)
        self._heartbeat.extend(session)

    def buffer_exceeded(self, session: Session) -> None:
        """Note that a session has more buffered than its limits allow; starts its grace period, if it is new."""
        self._slow.note(session)

    def buffer_reduced(self, session: Session) -> None:
        """End the grace period: the session is within its limits again."""
        self._slow.remove(session)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a short job; `close` cancels it if it still runs."""
        job = asyncio.get_running_loop().create_task(coroutine)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    def _respond(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Decide how a request is answered; the result answers it.

        Not a coroutine: each one on the way to a waiting poll takes 260 bytes as long as it waits, and time at its
        end. The parsed query is not kept, either.
        """
        parameters = read_parameters(scope)
        sid = parameters.get("sid")
        request = read_request(scope, self._proxies, SESSION_HEADERS if sid else None)
        cors = self._decide(request)
        extensions = scope.get("extensions") or {}
        exchange = Exchange(request, receive, send, cors.headers, extensions.get(RELAYED))
        if request.method == "OPTIONS" and self._cors.enabled:
            return exchange.answer_preflight()
        refusal = self._check(request, parameters, cors)
        if refusal is not None:
            return exchange.refuse(refusal)
        if not sid:
            return self._open_polling(exchange, parameters)
        session = self.sockets.get(sid)
        if session is None:
            return self.unknown_sessions.poll(sid, exchange)
        return self._poll(session, exchange, parameters)

    async def _begin_websocket(
        self, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        """Check and answer the opening request of a WebSocket.

        Returns:
            what serves the WebSocket from then on; None if it was refused. It is awaited by `handle`, because each
            coroutine around it would take 280 bytes of an idle connection.
        """
        websocket.prepare_wire(scope, self.options)
        request = read_request(scope, self._proxies)
        parameters = request.parameters
        refusal = self._check(request, parameters, self._decide(request))
        sid = parameters.get("sid")
        if refusal is None and not sid:
            refusal = check_handshake(request.method, parameters, websocket=True) or self._admit(request)
        elif refusal is None and sid in self.sockets:
            refusal = check_session_request(parameters, "websocket", websocket=True)
        if refusal is not None:
            return websocket.refuse(refusal, scope, receive, send)
        if not sid:
            return await self._open_websocket(request, scope, receive, send)
        if sid not in self.sockets:
            return self.unknown_sessions.websocket(sid, request, scope, receive, send)
        return await self._upgrade(self.sockets[sid], parameters, scope, receive, send)

    def _decide(self, request: ClientRequest) -> CorsDecision:
        try:
            decision = self._cors.decide(request)
        except Exception:  # noqa: BLE001 - the application's function; logged with its traceback
            self.notices.error("origin_check_failed", option="cors_allowed_origins", exc_info=True)
            return CorsDecision(allowed=False)
        if not decision.allowed:
            self._note_refused_origin(request)
        return decision

    def _note_refused_origin(self, request: ClientRequest) -> None:
        self.counters["origins_refused"] += 1
        if self.counters["origins_refused"] > 1:
            return
        ignored = "x-forwarded-host" in request.headers or "x-forwarded-proto" in request.headers
        log.warning(
            "origin_refused",
            origin=request.headers["origin"],
            option="cors_allowed_origins",
            untrusted_proxy=request.address if ignored and not request.proxied else None,
            note="further refusals are only counted",
        )

    def _check(self, request: ClientRequest, parameters: Mapping[str, str], cors: CorsDecision) -> Refusal | None:
        if self._is_closing or not (self._is_accepting or parameters.get("sid")):
            return SHUTTING_DOWN
        refusal = check_query(request.query) or check_transport(parameters, self.transports)
        return refusal or (None if cors.allowed else FORBIDDEN)

    def _open_polling(self, exchange: Exchange, parameters: Mapping[str, str]) -> Awaitable[None]:
        request = exchange.request
        refusal = check_handshake(request.method, parameters, websocket=False) or self._admit(request)
        session = None if refusal else self._open(request, "polling")
        if session is None:
            return exchange.refuse(refusal or BAD_REQUEST)
        transport = session.transport
        assert isinstance(transport, PollingTransport)  # opened for polling
        return transport.get(exchange, self.cookie_headers(session.sid))

    def _poll(self, session: Session, exchange: Exchange, parameters: Mapping[str, str]) -> Awaitable[None]:
        refusal = check_session_request(parameters, session.transport_name, websocket=False)
        transport = session.transport
        method = exchange.request.method
        if refusal is not None or not isinstance(transport, PollingTransport) or method not in ("GET", "POST"):
            return exchange.refuse(refusal or BAD_REQUEST)
        return transport.get(exchange) if method == "GET" else transport.post(exchange)

    def _request_ended(self) -> None:
        self._requests -= 1
        if not self._requests:
            self._idle_event.set()

    async def _open_websocket(
        self, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        if not await websocket.accept(scope, receive, send, self.options.subprotocols):
            return None
        # The server may have begun to shut down during `accept`.
        accepting = self._is_accepting and self._count_refusal(self._limits.refuse(request.address)) is None
        session = self._open(request, "websocket") if accepting else None
        if session is None:
            await send({"type": "websocket.close", "code": 1011 if accepting else 1013})
            return None
        wire = websocket.attach(session, self, scope, send)
        return websocket.read_until_closed(session, receive, wire)

    async def _upgrade(
        self,
        session: Session,
        parameters: Mapping[str, str],
        scope: Mapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> Awaitable[None] | None:
        if session.upgrading or session.upgraded or parameters["transport"] != "websocket":
            return websocket.turn_away(scope, receive, send)
        session.upgrading = True
        accepted = False
        try:
            accepted = await websocket.accept(scope, receive, send, self.options.subprotocols)
        finally:
            session.upgrading = accepted
        return await begin_upgrade(session, self, scope, receive, send) if accepted else None

    def _admit(self, request: ClientRequest) -> Refusal | None:
        """Check the size of a request that opens a session, and the limits on their number."""
        head = check_head(request, self.options.max_handshake_bytes)
        return self._count_refusal(head or self._limits.refuse(request.address))

    def _count_refusal(self, refusal: Refusal | None) -> Refusal | None:
        if refusal is not None:
            self.counters["sessions_refused"] += 1
            self.notices.warning("session_refused", reason=refusal.message, status=refusal.status)
        return refusal

    def _expire(self, session: Session) -> None:
        """End a session whose client has sent nothing. A body under way has a time limit of its own."""
        if session.abort_post is not None:
            return
        limit_s = self.options.first_packet_timeout_s
        self.counters["sessions_expired"] += 1
        self.notices.info("session_expired", sid=session.sid, limit_s=limit_s, option="first_packet_timeout_s")
        session.end("forced close")

    def _open(self, request: ClientRequest, transport_name: TransportName) -> Session | None:
        """Open a session; return None if `accept` failed."""
        session = Session(self, self.generate_id(), transport_name)
        session.transport = PollingTransport(session, self.options)
        session.append(Prepared([open_packet(session.sid, self.offered(transport_name), self.options)]))
        self.sockets[session.sid] = session
        try:
            session.events = self._accept(session, request)
        except Exception:  # noqa: BLE001 - the layer above; logged with its traceback
            self.notices.error("session_open_failed", sid=session.sid, exc_info=True)
            del self.sockets[session.sid]
            return None
        session.connected = True
        self.counters["sessions_opened"] += 1
        if transport_name == "websocket":
            self.websockets += 1
        self._limits.opened(session.sid, request.address)
        self._heartbeat.begin(session)
        self._silent.add(session, head_bytes(request))
        return session

    async def _wait_until_idle(self) -> None:
        while self._requests:
            self._idle_event.clear()
            await self._idle_event.wait()


def _end_without_pong(session: Session) -> None:
    session.end("ping timeout")
