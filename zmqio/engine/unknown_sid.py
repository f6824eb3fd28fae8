"""Why a session is unknown, as its client, the log and the operator are told. Pure.

The body is that of the JavaScript server (`{"code":1,"message":"Session ID unknown"}`) and, behind it, the node
tag that the session id names and the reason.
"""

from zmqio.engine.handshake import UNKNOWN_SID, Refusal
from zmqio.ids import NodeTag, is_sid_shaped, tag_of

__all__ = ["ALONE", "ENDED", "MALFORMED", "NO_BUS", "NO_NODE", "unknown_sid", "why_unknown"]

ALONE = "it was not made by this process, which has no adapter to ask others"
ENDED = "this node has no such session: it has ended, or the node was started again"
MALFORMED = "it is no session id of zmqio: those have 20 characters"
NO_BUS = "its node cannot be reached: no broker is connected"
NO_NODE = "no live node has this tag"


def unknown_sid(sid: str, reason: str, status: int = UNKNOWN_SID.status) -> Refusal:
    """What to answer to a request for the session `sid`, of which only the tag is told."""
    if not is_sid_shaped(sid):
        return Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, status, (("reason", MALFORMED),))
    details = (("node", str(tag_of(sid))), ("reason", reason))
    return Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, status, details)


def why_unknown(sid: str, tag: NodeTag, *, alone: bool, relayed: bool) -> str | None:
    """Why nobody has to be asked for the session `sid`, which is not here; None if its owner has to be.

    Args:
        sid: as the client sent it.
        tag: of this node.
        alone: whether this node cannot ask others.
        relayed: whether another node has asked: who is asked never asks on.
    """
    if not is_sid_shaped(sid):
        return MALFORMED
    if relayed or tag_of(sid) == tag:
        return ENDED
    return ALONE if alone else None
