"""Taken ports are skipped."""

from zmqio.demo.ports import HOST, first_free, listen


def test_taken_port_is_skipped() -> None:
    with listen(20_100) as first:
        port = first.getsockname()[1]
        with listen(port) as second:
            assert second.getsockname() == (HOST, second.getsockname()[1])
            assert second.getsockname()[1] > port


def test_block_with_one_taken_port_is_skipped() -> None:
    first = first_free(20_200, 4)
    with listen(first + 2) as taken:
        assert taken.getsockname()[1] == first + 2
        assert first_free(first, 4) >= first + 4
