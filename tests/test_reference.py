"""The reference pages list every log event, counter, health detail, option and error of the code, no others."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zmqio
from tests.support import options_page
from tests.support.counter_table import PARTS, read_counters
from tests.support.public_names import PublicNames, names_of_the_code, read_names
from zmqio import config, exceptions
from zmqio.metrics.counters import COUNTERS
from zmqio.server.session_recovery import RECOVERABLE_REASONS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "events.md"
ERRORS_PAGE = ROOT / "docs" / "reference" / "errors.md"
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


@pytest.fixture
def names() -> PublicNames:
    """The names of the code."""
    return names_of_the_code()


def rows(section: str) -> list[list[str]]:
    return [row for table in tables(section) for row in table]


def listed(section: str) -> set[str]:
    return {row[0].strip("`") for row in rows(section)}


def test_every_name_is_a_literal(names: PublicNames) -> None:
    assert names.offences == []


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


def test_log_events_are_those_of_the_code(names: PublicNames) -> None:
    on_page = {row[0].strip("`"): row[1] for row in rows("Log events")}
    in_code = {event: ", ".join(sorted(levels)) for event, levels in names.events.items()}
    assert on_page == in_code


def test_counters_are_those_of_the_code(names: PublicNames) -> None:
    assert listed("Counters") == names.counters


@pytest.mark.parametrize("part", PARTS)
def test_every_counter_of_a_node_is_a_metric(part: str) -> None:
    assert COUNTERS[part].keys() == read_counters(part).keys(), "run `python -m tests.support.counter_table`"


def test_health_details_are_those_of_the_code(names: PublicNames) -> None:
    assert listed("Health details") == names.details


@pytest.mark.parametrize("section", ["Log events", "Counters", "Health details"])
def test_tables_are_sorted_and_complete(section: str) -> None:
    for table in tables(section):
        names = [row[0].strip("`") for row in table]
        assert names == sorted(set(names))
    unfinished = [row[0] for row in rows(section) for cell in row if not cell]
    assert unfinished == []


def test_key_values_are_those_of_the_code(names: PublicNames) -> None:
    unlisted_keys = {"exc_info", "subject", "*"}  # not shown under these names
    for event, _, _, _, cell in rows("Log events"):
        on_page, in_code = set(re.findall(r"`(\w+)`", cell)) - {"times"}, names.keys[event.strip("`")]
        assert in_code - unlisted_keys - {"times"} <= on_page, event
        assert on_page <= in_code or "*" in in_code, event


def test_each_event_has_one_row() -> None:
    names = [row[0] for row in rows("Log events")]
    assert len(names) == len(set(names))


def test_warnings_and_errors_say_what_to_do() -> None:
    silent = [row[0] for row in rows("Log events") if row[1] in ("warning", "error") and row[3] == "-"]
    assert silent == []


def test_events_name_a_thing_and_what_happened_to_it(names: PublicNames) -> None:
    unusual = {
        event
        for event in names.events
        if not EVENT.fullmatch(event)
        or not any(word.endswith("ed") or word in IRREGULAR_VERBS for word in event.split("_")[1:])
    }
    assert unusual == set(LASTING_STATES)


def test_no_two_names_have_the_same_words(names: PublicNames) -> None:
    all_names = [*names.events, *(names.counters - names.events.keys())]
    by_words: dict[frozenset[str], list[str]] = {}
    for name in all_names:
        by_words.setdefault(frozenset(name.split("_")), []).append(name)
    assert [same for same in by_words.values() if len(same) > 1] == []


def test_renamed_names_lead_to_names_that_exist(names: PublicNames) -> None:
    known = names.events.keys() | names.counters | names.details
    new = {name for row in rows("Renamed in this release") for name in re.findall(r"`(\w+)`", row[1])}
    assert new - known == set()


INTERNAL_VARIABLES = {"ZMQIO_DEMO_NODE", "ZMQIO_SERVE_ACCEPTOR", "ZMQIO_SERVE_WORKER"}
"""zmqio sets them for processes that it starts."""
SOURCES = [source for _, _, source in options_page.SECTIONS]


def test_options_page_is_made_from_the_code() -> None:
    assert options_page.PAGE.read_text() == options_page.render(), "run `python -m tests.support.options_page`"


def test_every_class_of_options_is_on_the_page() -> None:
    classes = {
        value for value in vars(config).values() if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    assert classes - {source for _, _, source in options_page.SECTIONS} == set()


@pytest.mark.parametrize(
    "source", [source for *_, source in options_page.SECTIONS], ids=lambda source: source.__name__
)
def test_docstrings_name_every_option(source: Any) -> None:
    named = {row.name.strip("`") for row in options_page.rows_of(source)}
    parameters = inspect.signature(source).parameters.values()
    assert {each.name for each in parameters if each.kind is not each.VAR_KEYWORD} - {"self"} == named


def test_environment_variables_are_those_of_the_code() -> None:
    sources = "".join(path.read_text() for folder in ("zmqio", "broker") for path in (ROOT / folder).rglob("*.py"))
    in_code = set(re.findall(r"\b(ZMQIO_[A-Z0-9_]*[A-Z0-9]|FORWARDED_ALLOW_IPS|NO_COLOR)\b", sources))
    assert options_page.VARIABLES.keys() == in_code - INTERNAL_VARIABLES


def error_rows(section: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its own two lines."""
    text = re.split(rf"^##+ {re.escape(section)}\n", ERRORS_PAGE.read_text(), flags=re.M)[1]
    lines = re.split(r"\n\n(?!\|)", text[text.index("\n|") :])[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_exception_has_its_base_cause_and_remedy() -> None:
    on_page = {row[0].strip("`"): row for row in error_rows("Exceptions")}
    assert list(on_page) == sorted(exceptions.__all__)
    for name, (_, bases, cause, remedy) in on_page.items():
        in_code = [base.__name__ for base in getattr(exceptions, name).__bases__]
        assert re.findall(r"`(\w+)`", bases) == in_code, name
        assert cause and remedy, name


def texts_in_calls(folder: str, *functions: str) -> set[str]:
    """The beginnings of the texts, of several words, that are arguments of calls of these functions."""
    found = set()
    for path in (ROOT / "zmqio" / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", getattr(node.func, "id", "")) in functions
            ):
                found |= {beginning(argument) for argument in node.args}
    return {text for text in found if " " in text}


def beginning(node: ast.expr) -> str:
    """The text of a literal, up to its first value."""
    if isinstance(node, ast.JoinedStr):
        return beginning(node.values[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_every_answer_of_the_engine_is_on_the_errors_page() -> None:
    texts = texts_in_calls("engine", "Refusal") | texts_in_calls("relay", "Refusal")
    texts |= texts_in_calls("hosting", "Rejection") | texts_in_calls("server", "respond_with_error")
    on_page = re.findall(r"`([^`]+)`", "".join(row[2] for row in error_rows("HTTP answers")))
    assert len(texts) > 10
    assert [text for text in sorted(texts) if not any(text.startswith(shown) for shown in on_page)] == []


def test_every_reason_of_a_disconnect_is_on_the_errors_page() -> None:
    reasons = texts_in_calls("engine", "end", "close_soon") | RECOVERABLE_REASONS
    reasons |= texts_in_calls("server", "end", "close_soon", "abort", "remove")
    assert {row[0].strip("`") for row in error_rows("Reasons of a disconnect")} == reasons


def test_every_refusal_of_a_namespace_is_on_the_errors_page() -> None:
    constants = (ROOT / "zmqio" / "server" / "admission.py", ROOT / "zmqio" / "server" / "runtime.py")
    source = "".join(path.read_text() for path in constants)
    texts = set(re.findall(r'^[A-Z_]+ = "([^"]+ [^"]+)"$', source, re.M))
    texts |= texts_in_calls("server", "_refuse_connect")
    on_page = [row[0].strip("`") for row in error_rows("`connect_error`")]
    assert [text for text in sorted(texts) if not any(text.startswith(shown) for shown in on_page)] == []


def test_messages_of_commands_exist() -> None:
    sources = "".join(path.read_text() for folder in ("zmqio", "broker") for path in (ROOT / folder).rglob("*.py"))
    section = ERRORS_PAGE.read_text().split("\n## Commands\n")[1]
    messages = [text for line in section.splitlines() for text in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert [text for text in messages if " " in text and text not in sources] == []


def test_every_exported_name_is_on_the_api_page() -> None:
    shown = set(re.findall(r"^::: (\S+)", (ROOT / "docs" / "reference" / "api.md").read_text(), re.M))
    missing = []
    for name in zmqio.__all__:
        modules = {zmqio._MODULE_OF.get(name), getattr(getattr(zmqio, name), "__module__", None)}
        if shown.isdisjoint({*modules, *(f"{module}.{name}" for module in modules)}) and name != "__version__":
            missing.append(name)
    assert missing == []
