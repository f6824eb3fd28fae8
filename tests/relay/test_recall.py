"""Answers that may come back."""

from zmqio.relay.recall import ResponseUndoLog


def test_answer_is_taken_back_once() -> None:
    recall, undone = ResponseUndoLog(), []
    recall.keep("a", lambda: undone.append("a"), 10)
    recall.keep("b", lambda: undone.append("b"), 10)
    assert recall.recall("a")
    assert not recall.recall("a")
    assert not recall.recall("unknown")
    assert undone == ["a"]


def test_oldest_are_forgotten_beyond_either_bound() -> None:
    recall, undone = ResponseUndoLog(answers_kept=3, bytes_kept=100), []
    for number in range(5):
        recall.keep(number, lambda number=number: undone.append(number), 10)  # type: ignore[misc]
    assert len(recall) == 3
    assert [recall.recall(number) for number in range(5)] == [False, False, True, True, True]
    recall.keep("small", lambda: undone.append("small"), 10)
    recall.keep("large", lambda: undone.append("large"), 95)
    assert not recall.recall("small")
    assert recall.recall("large")
    recall.keep("too large", lambda: undone.append("too large"), 101)
    assert len(recall) == 0
    assert undone == [2, 3, 4, "large"]
