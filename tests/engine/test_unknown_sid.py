"""What is said of a session that is not here."""

import json

import pytest

from zmqio.engine.handshake import UNKNOWN_SID
from zmqio.engine.unknown_sid import ALONE, ENDED, MALFORMED, NO_NODE, unknown_sid, why_unknown
from zmqio.ids import NodeTag

SID = "tag1abcdefghijklmnop"
MINE, OTHER = NodeTag("tag1"), NodeTag("tag2")


def test_body_is_that_of_the_javascript_server_and_more() -> None:
    refusal = unknown_sid(SID, NO_NODE)
    assert refusal.status == 400
    assert refusal.body == (
        b'{"code":1,"message":"Session ID unknown","node":"tag1","reason":"no live node has this tag"}'
    )
    assert refusal.body.startswith(UNKNOWN_SID.body[:-1])
    assert unknown_sid(SID, NO_NODE, 503).status == 503


def test_of_the_session_id_only_the_tag_is_told() -> None:
    assert SID[4:] not in unknown_sid(SID, NO_NODE).body.decode()


@pytest.mark.parametrize("sid", ["", "short", SID + "x", "tag1abcdefghijklmno\n", '"}' * 10, "\0" * 20])
def test_what_is_no_session_id_is_not_repeated(sid: str) -> None:
    refusal = unknown_sid(sid, NO_NODE)
    assert json.loads(refusal.body) == {"code": 1, "message": "Session ID unknown", "reason": MALFORMED}


@pytest.mark.parametrize(
    ("sid", "tag", "alone", "relayed", "reason"),
    [
        ("nobody", OTHER, False, False, MALFORMED),
        (SID, MINE, False, False, ENDED),
        (SID, MINE, True, False, ENDED),
        (SID, OTHER, False, True, ENDED),
        (SID, OTHER, True, False, ALONE),
        (SID, OTHER, False, False, None),
    ],
)
def test_only_the_owner_of_another_nodes_session_is_asked(
    sid: str, tag: NodeTag, alone: bool, relayed: bool, reason: str | None
) -> None:
    assert why_unknown(sid, tag, alone=alone, relayed=relayed) == reason
