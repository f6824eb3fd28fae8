"""Free ports: what is taken is passed over."""

from zmqio.demo.ports import HOST, first_free, listen


def test_taken_port_moves_on_to_the_next_free_one() -> None:
    with listen(20_100) as first:
        port = first.getsockname()[1]
        with listen(port) as second:
            assert second.getsockname() == (HOST, second.getsockname()[1])
            assert second.getsockname()[1] > port


def test_block_with_one_taken_port_is_passed_over() -> None:
    first = first_free(20_200, 4)
    with listen(first + 2) as taken:
        assert taken.getsockname()[1] == first + 2
        assert first_free(first, 4) >= first + 4
