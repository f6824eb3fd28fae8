"""Notices of nodes that no longer subscribe to their inbox: they have stopped, died, or lost their connection.

When the last subscription to a topic ends, the XPUB passes its cancellation on to every publisher, and the barrier
thread reads it. If the topic is the inbox of a node, `<prefix>/u/<node id> NUL`, the broker publishes one frame,
`0xff "gone-" topic`. Nodes then check whether that node has died, instead of waiting until it has been silent for
seconds. The broker does not know whether it died or only reconnects.
"""

import re

__all__ = ["departure_notice"]

NOTICE_PREFIX = b"\xffgone-"
_match_inbox = re.compile(rb"\x00([^/\0\xff]+/u/[^\0]{1,256}\0)").fullmatch


def departure_notice(frame: bytes) -> bytes | None:
    """Return the notice for a frame that cancels the last subscription to an inbox; None for any other frame."""
    match = _match_inbox(frame)
    return None if match is None else NOTICE_PREFIX + match[1]
