"""The table: at most 80 columns, whatever the numbers are."""

from dataclasses import replace

import pytest
from rich.console import Console

from zmqio.top.overview import BrokerRow, NodeRow
from zmqio.top.screen import compact, render

NODE = NodeRow("abcdEFGHIJKLMNO", "host", 7, True, 0.0, 3, 9.5, 1234.0, 0.0, 1e6, 0.25, 4_200_000, 0, 1)
BROKER = BrokerRow("tcp://127.0.0.1:5555", "", 3700.0, 4, 10.0, 10.0, 2_000.0, 0.0)


def text(nodes: list[NodeRow], brokers: list[BrokerRow], width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(render(nodes, brokers))
    console.file.close()
    return console.export_text().splitlines()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"), (9.5, "9.5"), (99.94, "99.9"), (512, "512"), (999.4, "999"), (1000, "1.0k"), (10_300, "10.3k"),
        (999_900, "1.0M"), (4.2e6, "4.2M"), (3e9, "3.0G"), (5e12, "5T"),
    ],
)  # fmt: skip
def test_numbers_are_short(number: float, expected: str) -> None:
    assert compact(number) == expected


def test_largest_numbers_and_names_fit_in_80_columns() -> None:
    wide = replace(
        NODE, host="a-very-long-host-name.example", pid=4_194_304, sessions=123_456, events_in=123_456.7,
        events_out=999_900.0, bus_in=99_940.0, bus_out=123_400.0, lag_ms=12_345.6, ring_bytes=67_108_864,
        failures=123_456,
    )  # fmt: skip
    broker = replace(BROKER, address="tcp://broker-1.example.internal:5555", bytes_in=123e6, connected=1_000)
    lines = text([wide], [broker, replace(broker, problem="no answer " * 20)])
    assert max(map(len, lines)) <= 80
    (line,) = (line for line in lines if line.startswith("abcdEFGH"))
    assert line.split() == [
        "abcdEFGH", "a-very-:4194304", "123k", "123k", "1.0M", "99.9k", "123k", "12.3k", "67.1M", "123k",
    ]  # fmt: skip


def test_nodes_are_sorted_by_process_and_brokers_come_first() -> None:
    lines = text([replace(NODE, node="second", pid=9), NODE], [BROKER])
    assert lines[0] == "broker tcp://127.0.0.1:5555  up 1h01m  4 connected  in 10/s 2.0kB/s  outside 0/s"[:80]
    assert [line.split()[0] for line in lines if "host:" in line] == ["abcdEFGH", "second"]


def test_problem_of_a_broker_is_shown() -> None:
    assert text([], [replace(BROKER, problem="Connection refused")])[0].endswith("Connection refused")


def test_nats_servers_have_no_numbers() -> None:
    row = replace(BROKER, address="nats://a:4222, nats://b:4222", server="NATS 2.15.1, 3 servers")
    assert text([], [row])[0] == "NATS 2.15.1, 3 servers  nats://a:4222, nats://b:4222"
