"""Admits pages to the admin namespace: by user name and password, or by the id of a session of any node.

Source: `initAuthenticationMiddleware` of @socket.io/admin-ui 0.5. The page shows the text of a refusal.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from typing import Any

from zmqio.exceptions import BusError, ConnectRefused, RequestTimeoutError
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.server.admin.attempts import LoginAttempts
from zmqio.server.admin.password import PasswordHash
from zmqio.server.admin.sessions import SESSION_S, AdminSessions, digest_of
from zmqio.server.namespace import Namespace
from zmqio.server.socket import Socket

__all__ = ["Login"]

log = get_logger(__name__)

INVALID = "invalid credentials"
"""The page asks for the password when it reads this text."""
MAX_CHECKS = 10
"""Most logins that wait while another one is checked."""
ASK_LIMIT_S = 1.0
"""Seconds to wait for the other nodes' answers about a session that this node does not know."""


class Login:
    """The middleware of the admin namespace.

    Args:
        namespace: the admin namespace, through which the other nodes learn of each session.
        username: the user name.
        password: the hash of the password.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(
        self, namespace: Namespace, username: str, password: PasswordHash, clock: Callable[[], float]
    ) -> None:
        self._namespace = namespace
        self._username = username.encode()
        self._password = password
        self._clock = clock
        self._notices = LimitedLog(log)
        self._attempts = LoginAttempts()
        self._sessions = AdminSessions()
        # One thread: a check takes 32 MiB.
        self._checker = ThreadPoolExecutor(1, "zmqio-admin-login")
        self._checks = 0

    def register(self) -> None:
        """Register the middleware, and the functions for sessions of other nodes."""
        self._namespace.use(self.admit)
        self._namespace.on_server_side("session_begun")(self._add_session)
        self._namespace.on_server_side("session_known")(self._session_left_s)

    async def admit(self, socket: Socket) -> None:
        """Admit a page.

        Raises:
            ConnectRefused: its session is unknown and its password wrong, or too many logins have failed.
        """
        auth = socket.handshake.auth
        address = socket.handshake.address
        given: Mapping[str, Any] = auth if isinstance(auth, dict) else {}
        session_id = given.get("sessionId")
        if isinstance(session_id, str) and self._left_s(digest_of(session_id)):
            return
        self._check_attempts(address)
        if isinstance(session_id, str) and session_id:
            if await self._is_known_elsewhere(digest_of(session_id)):
                return
        elif await self._matches(given.get("username"), given.get("password")):
            await self._begin_session(socket)
            return
        self._attempts.failed(address, self._clock())
        self._notices.warning(
            "admin_login_refused", address=address, reason="session" if session_id else "password"
        )
        raise ConnectRefused(INVALID)

    def _check_attempts(self, address: str) -> None:
        wait_s = ceil(self._attempts.wait_s(address, self._clock()))
        if wait_s or self._checks >= MAX_CHECKS:
            self._notices.warning("admin_login_refused", address=address, reason="too many failed logins")
            raise ConnectRefused(f"too many failed logins; try again in {wait_s or 1} s")

    async def _matches(self, username: Any, password: Any) -> bool:
        if not isinstance(username, str) or not isinstance(password, str) or not password:
            return False
        self._checks += 1
        try:
            loop = asyncio.get_running_loop()
            matches = await loop.run_in_executor(self._checker, self._password.matches, password)
        finally:
            self._checks -= 1
        same_name = hmac.compare_digest(self._username, username.encode("utf-8", "surrogatepass"))
        return matches and same_name

    async def _begin_session(self, socket: Socket) -> None:
        session_id = self._sessions.create(self._clock())
        self._notices.info("admin_logged_in", address=socket.handshake.address)
        await socket.emit("session", session_id)
        with suppress(BusError):  # other nodes that miss it will ask for it
            await self._namespace.server_side_emit("session_begun", digest_of(session_id), SESSION_S)

    async def _is_known_elsewhere(self, digest: str) -> bool:
        """Ask the other nodes for a session: this one may have started after it began."""
        try:
            answers = await self._namespace.server_side_emit_with_ack("session_known", digest, timeout=ASK_LIMIT_S)
        except RequestTimeoutError as error:
            answers = error.responses
        except BusError:
            return False
        left_s = max((float(answer) for answer in answers if isinstance(answer, int | float)), default=0.0)
        if left_s > 0:
            self._sessions.add(digest, left_s, self._clock())
        return left_s > 0

    def _left_s(self, digest: str) -> float:
        return self._sessions.left_s(digest, self._clock())

    def _add_session(self, digest: str, left_s: float) -> None:
        self._sessions.add(digest, left_s, self._clock())

    def _session_left_s(self, digest: str) -> float:
        return self._left_s(digest)
