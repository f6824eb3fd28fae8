"""What workers say travels whole, in whatever pieces it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.launcher.worker.messages import Closed, Failed, Report, ReportReader, Stopping, WorkerReady, encode

REPORTS: st.SearchStrategy[Report] = st.one_of(
    st.just(WorkerReady()),
    st.just(Stopping()),
    st.builds(Closed, st.integers(1, 10**6)),
    st.builds(Failed, st.text(), st.text(max_size=100)),
)


@given(st.lists(REPORTS), st.integers(1, 20))
def test_reports_come_out_as_they_went_in(reports: list[Report], piece: int) -> None:
    data = b"".join(encode(report) for report in reports)
    reader = ReportReader()
    found = [report for at in range(0, len(data), piece) for report in reader.feed(data[at : at + piece])]
    assert found == reports


def test_exact_text() -> None:
    assert encode(WorkerReady()) + encode(Closed(3)) + encode(Stopping()) == b"ready\nclosed 3\nstopping\n"


def test_end_of_a_long_traceback_is_kept() -> None:
    (found,) = ReportReader().feed(encode(Failed("why", "x" * 100_000 + "the end")))
    assert isinstance(found, Failed)
    assert found.traceback.endswith("the end")
    assert len(found.traceback) == 20_000


@pytest.mark.parametrize("rubbish", [b"hello\n", b"closed x\n", b"failed {\n", b"x" * 200_000])
def test_rubbish_is_an_error(rubbish: bytes) -> None:
    with pytest.raises(ValueError):
        ReportReader().feed(rubbish)
