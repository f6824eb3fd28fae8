"""The claim of a returning client in its auth payload: the private id of its session, and its last offset. Pure.

Source: socket.io-client 4.6 and later, `Socket._sendConnectPacket`: `{pid, offset, ...auth}`.
"""

from typing import Any, NamedTuple

from zmqio.ids import is_sid_shaped

__all__ = ["Claim", "split_auth"]


class Claim(NamedTuple):
    """A client's claim to a session.

    Attributes:
        pid: the private id of the session.
        offset: the offset of the last event that the client received; None if it received none.
    """

    pid: str
    offset: str | None


def split_auth(auth: Any) -> tuple[Any, Claim | None]:
    """Separate the claim from the application's payload.

    Returns:
        The payload without the claim, and the claim; None if the client makes none. A `pid` that does not have the
        form of ours belongs to the application.
    """
    pid = auth.get("pid") if isinstance(auth, dict) else None
    if not isinstance(pid, str) or not is_sid_shaped(pid):
        return auth, None
    offset = auth.get("offset")
    rest = {key: value for key, value in auth.items() if key not in ("pid", "offset")}
    return rest, Claim(pid, offset if isinstance(offset, str) else None)
