"""The claim of a returning client is separated from the application's payload."""

from typing import Any

import pytest

from zmqio.ids import NodeTag, make_sid
from zmqio.server.claim import Claim, split_auth

PID = make_sid(NodeTag("tagA"))


def test_the_application_does_not_see_the_claim() -> None:
    assert split_auth({"pid": PID, "offset": "o", "token": 1}) == ({"token": 1}, Claim(PID, "o"))
    assert split_auth({"pid": PID}) == ({}, Claim(PID, None))
    assert split_auth({"pid": PID, "offset": 5}) == ({}, Claim(PID, None))


@pytest.mark.parametrize(
    "auth", [None, {}, {"token": 1}, {"pid": 7}, {"pid": "short", "offset": "x"}, {"offset": "x"}]
)
def test_a_payload_without_a_claim_stays_as_it_is(auth: Any) -> None:
    assert split_auth(auth) == (auth, None)
