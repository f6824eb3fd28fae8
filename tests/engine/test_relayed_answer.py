"""An answer that another node carries to the client."""

import pytest

from zmqio.engine.http_exchange import AnswerFate
from zmqio.engine.packets import NOOP
from zmqio.engine.relayed_answer import RelayedAnswer


@pytest.mark.parametrize(
    ("query", "repeated", "expected"),
    [
        ("sid=a&t=1", "sid=a&t=1", True),
        ("t=1&sid=a", "t=1&sid=a", True),
        ("sid=a&t=1", "sid=a&t=2", False),
        ("sid=a", "sid=a", False),  # all GETs of such a client are equal
        ("sid=a&list=1", "sid=a&list=1", False),
    ],
)
def test_get_with_the_same_time_stamp_is_a_repetition(query: str, repeated: str, expected: bool) -> None:
    answer = RelayedAnswer([NOOP], query, lambda answer, fate: None)
    assert answer.is_repeated_by(repeated) is expected


def test_fate_is_reported_and_packets_can_be_freed() -> None:
    seen: list[AnswerFate] = []
    answer = RelayedAnswer([NOOP], "", lambda answer, fate: seen.append(fate))
    answer.settle(AnswerFate.DELIVERED)
    assert seen == [AnswerFate.DELIVERED]
    answer.forget_packets()
    assert answer.packets is None
