"""The reference page lists every log event, counter and health detail that the code has, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.counter_table import PARTS, read_counters
from tests.support.public_names import read_names
from zmqio.metrics.counters import COUNTERS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "events.md"
NAMES = read_names(ROOT, ("zmqio", "broker"))
EVENT = re.compile(r"[a-z]+(_[a-z0-9]+)+")
IRREGULAR_VERBS = {"left", "lost", "sent", "taken"}
LASTING_STATES = {
    "broker_connecting": "the attempts last until `broker_connected`",
    "broker_unreachable": "a reminder, logged again every minute",
    "session_unknown": "says what a client's request is about, not what happened",
    "server_stopping": "lasts until `server_stopped`",
}
"""Events that name a state, not what happened."""


def tables(section: str) -> Iterator[list[list[str]]]:
    """The tables below a heading of the second level, as rows of cells. The first cell is a name."""
    text = PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    for block in re.split(r"\n\n+", text):
        lines = [line for line in block.splitlines() if line.startswith("| `")]
        if lines:
            yield [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def rows(section: str) -> list[list[str]]:
    return [row for table in tables(section) for row in table]


def listed(section: str) -> set[str]:
    return {row[0].strip("`") for row in rows(section)}


def test_every_name_is_a_literal() -> None:
    assert NAMES.offences == []


def test_a_name_that_is_not_a_literal_is_an_offence(tmp_path: Path) -> None:
    module = tmp_path / "zmqio" / "sample.py"
    module.parent.mkdir()
    module.write_text(
        "log.info('node_started')\n"
        "log.info(f'{what}_started')\n"
        "(log.info if quiet else log.warning)('node_stopped')\n"
        "self._diagnostics.report('publish_failed', reason=reason)\n"
        "self._diagnostics.count(kind)\n"
        "self.counters[kind] += 1\n"
        "self.counters['nodes_died'] += 1\n"
        "def details(self): return {'nodes': 1, key: 2}\n"
    )
    names = read_names(tmp_path, ["zmqio"])
    assert names.events == {"node_started": {"info"}, "publish_failed": {"warning"}}
    assert names.counters == {"publish_failed", "nodes_died"}
    assert names.details == {"nodes"}
    assert [offence.split(":")[1] for offence in names.offences] == ["2", "3", "3", "5", "6", "8"]


def test_log_events_are_those_of_the_code() -> None:
    on_page = {row[0].strip("`"): row[1] for row in rows("Log events")}
    in_code = {event: ", ".join(sorted(levels)) for event, levels in NAMES.events.items()}
    assert on_page == in_code


def test_counters_are_those_of_the_code() -> None:
    assert listed("Counters") == NAMES.counters


@pytest.mark.parametrize("part", PARTS)
def test_every_counter_of_a_node_is_a_metric(part: str) -> None:
    assert COUNTERS[part].keys() == read_counters(part).keys(), "run `python -m tests.support.counter_table`"


def test_health_details_are_those_of_the_code() -> None:
    assert listed("Health details") == NAMES.details


@pytest.mark.parametrize("section", ["Log events", "Counters", "Health details"])
def test_tables_are_sorted_and_complete(section: str) -> None:
    for table in tables(section):
        names = [row[0].strip("`") for row in table]
        assert names == sorted(set(names))
    unfinished = [row[0] for row in rows(section) for cell in row if not cell]
    assert unfinished == []


def test_key_values_are_those_of_the_code() -> None:
    unlisted_keys = {"exc_info", "subject", "*"}  # not shown under these names
    for event, _, _, _, cell in rows("Log events"):
        on_page, in_code = set(re.findall(r"`(\w+)`", cell)) - {"times"}, NAMES.keys[event.strip("`")]
        assert in_code - unlisted_keys - {"times"} <= on_page, event
        assert on_page <= in_code or "*" in in_code, event


def test_each_event_has_one_row() -> None:
    names = [row[0] for row in rows("Log events")]
    assert len(names) == len(set(names))


def test_warnings_and_errors_say_what_to_do() -> None:
    silent = [row[0] for row in rows("Log events") if row[1] in ("warning", "error") and row[3] == "-"]
    assert silent == []


def test_events_name_a_thing_and_what_happened_to_it() -> None:
    unusual = {
        event
        for event in NAMES.events
        if not EVENT.fullmatch(event)
        or not any(word.endswith("ed") or word in IRREGULAR_VERBS for word in event.split("_")[1:])
    }
    assert unusual == set(LASTING_STATES)


def test_no_two_names_have_the_same_words() -> None:
    names = [*NAMES.events, *(NAMES.counters - NAMES.events.keys())]
    by_words: dict[frozenset[str], list[str]] = {}
    for name in names:
        by_words.setdefault(frozenset(name.split("_")), []).append(name)
    assert [same for same in by_words.values() if len(same) > 1] == []


def test_renamed_names_lead_to_names_that_exist() -> None:
    known = NAMES.events.keys() | NAMES.counters | NAMES.details
    new = {name for row in rows("Renamed in this release") for name in re.findall(r"`(\w+)`", row[1])}
    assert new - known == set()
