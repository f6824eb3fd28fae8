"""The log events, counters and health details that some source files name, read from their syntax trees.

A name is read only where it is a literal. Any other use is reported as an offence, so that no name is missing from
the reference page.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

__all__ = ["PublicNames", "names_of_the_code", "read_names"]

ROOT = Path(__file__).parents[2]

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOG_NAMES = ("log", "notices", "_notices")
EVENT_KEYWORDS = {"malformed_event": "error"}
"""Parameters that take an event, and the level at which the event is logged."""
RAW_LINES = {"zmqio/logs.py": "warning"}
"""Modules that write lines as dicts with the key `event`, and the level of these lines."""
FORWARDERS = {
    "zmqio/log_limit.py": "LimitedLog passes the events of its callers to the log",
    "zmqio/cluster/diagnostics.py": "Diagnostics passes the events and counters of its callers on",
    "zmqio/launcher/ipc/fd_passing.py": "FdLink logs the `malformed_event` of its caller",
}
"""Modules whose events and counters are literals where they are called."""
COUNTER_PARAMETERS = {
    "zmqio/launcher/accept/balancer.py": "`_drop` and `_reject` take the name of a counter",
    "zmqio/hosting/http_rejections.py": "`Rejection` takes the name of a counter",
}
"""Modules that pass counters to functions of their own; literals that name a counter are read from these calls."""
COUNTER_FUNCTIONS = ("counters", "statistics")
COUNTER_CLASSES = ("PeerCounts",)
DETAIL_FUNCTIONS = ("health", "details", "_health_details")


@dataclass
class PublicNames:
    """The names that appear in logs and health reports.

    Attributes:
        events: event -> levels at which it is logged.
        keys: event -> names of its key-values; `*` if some of them are not literals.
        counters: names of counters.
        details: keys of `Health.details`, also of nested mappings.
        offences: places with a name that is not a literal.
    """

    events: dict[str, set[str]] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    counters: set[str] = field(default_factory=set)
    details: set[str] = field(default_factory=set)
    offences: list[str] = field(default_factory=list)


@cache
def names_of_the_code() -> PublicNames:
    """Read the names in the library and in the broker, once in a process: it takes two seconds of CPU."""
    return read_names(ROOT, ("zmqio", "broker"))


def read_names(root: Path, folders: Iterable[str]) -> PublicNames:
    """Read the names in all modules of some folders."""
    names = PublicNames()
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if path not in FORWARDERS:
                _Reader(names, path).visit(ast.parse(file.read_text()))
    return names


class _Reader(ast.NodeVisitor):
    def __init__(self, names: PublicNames, path: str) -> None:
        self._names = names
        self._path = path
        self._has_event_table = False
        self._called: set[int] = set()

    # Log events.

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Attribute(owner, name) if name in LEVELS and _is_log(owner):
                self._called.add(id(node.func))
                self._event(node, LEVELS[name])
            case ast.Attribute(owner, "report" | "warn" | "count" as name) if _name_of(owner).endswith(
                "diagnostics"
            ):
                if name != "count":
                    self._event(node, "warning")
                if name != "warn":
                    self._counter(node.args[0])
            case ast.Name("getattr") if _is_log(node.args[0]) and not self._has_event_table:
                self._offend(node, "a level that is not a literal")
            case ast.Attribute(attr="_drop" | "_reject") if self._path in COUNTER_PARAMETERS:
                if isinstance(node.args[1], ast.Constant):
                    self._counter(node.args[1])
            case ast.Name("Rejection") if self._path in COUNTER_PARAMETERS:
                self._counter(node.args[0])
        for keyword in node.keywords:
            if keyword.arg in EVENT_KEYWORDS:
                self._add_event(keyword.value, EVENT_KEYWORDS[keyword.arg])
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in LEVELS and _is_log(node.value) and id(node) not in self._called:
            self._offend(node, "a log method that is not called where it is named")
        self.generic_visit(node)

    def _event(self, call: ast.Call, level: str) -> None:
        if call.args:
            self._add_event(call.args[0], level, {keyword.arg or "*" for keyword in call.keywords})
        else:
            self._offend(call, "no event")

    def _add_event(self, node: ast.expr, level: str, keys: Iterable[str] = ("*",)) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._names.events.setdefault(node.value, set()).add(level)
            self._names.keys.setdefault(node.value, set()).update(keys)
        else:
            self._offend(node, f"an event that is not a literal: {ast.unparse(node)}")

    def visit_Dict(self, node: ast.Dict) -> None:
        if self._path in RAW_LINES:
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "event":
                    self._add_event(value, RAW_LINES[self._path])
        self.generic_visit(node)

    # Tables: `_EVENTS = {event: (level, ...)}` and `..._COUNTERS = {anything: counter}`.

    def visit_Assign(self, node: ast.Assign) -> None:
        table = _name_of(node.targets[0])
        if isinstance(node.value, ast.Dict) and table == "_EVENTS":
            self._has_event_table = True
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                assert key is not None and isinstance(value, ast.Tuple)
                self._add_event(key, ast.literal_eval(value.elts[0]))
        elif isinstance(node.value, ast.Dict) and table.endswith("_COUNTERS"):
            for value in node.value.values:
                self._counter(value)
        self.generic_visit(node)

    # Counters.

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Subscript) and _name_of(node.target.value).endswith(("counters", "counts")):
            key = node.target.slice
            if not (isinstance(key, ast.Name) and key.id == "counter" and self._path in COUNTER_PARAMETERS):
                self._counter(key)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if node.name in COUNTER_CLASSES:
            for part in node.body:
                if isinstance(part, ast.AnnAssign | ast.FunctionDef):
                    name = _name_of(part.target) if isinstance(part, ast.AnnAssign) else part.name
                    is_counter = isinstance(part, ast.AnnAssign) or bool(part.decorator_list)
                    if is_counter and not name.startswith("_"):
                        self._names.counters.add(name)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in ast.walk(node):
            match part:
                case ast.Return(ast.Dict() as returned) if node.name in COUNTER_FUNCTIONS:
                    self._keys(returned, self._names.counters)
                case ast.Dict() if node.name in DETAIL_FUNCTIONS:
                    self._keys(part, self._names.details)
                case ast.Subscript(slice=ast.Constant(str(key)), ctx=ast.Store()) if node.name in DETAIL_FUNCTIONS:
                    self._names.details.add(key)
        self.generic_visit(node)

    def _keys(self, node: ast.Dict, found: set[str]) -> None:
        for key in node.keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found.add(key.value)
            elif key is not None:
                self._offend(key, f"a key that is not a literal: {ast.unparse(key)}")

    def _counter(self, key: ast.expr) -> None:
        match key:
            case ast.Constant(str(name)):
                self._names.counters.add(name)
            case ast.Call(ast.Attribute(ast.Name(table), "get"), [_, ast.Constant(str(name))]) if table.endswith(
                "_COUNTERS"
            ):
                self._names.counters.add(name)
            case ast.IfExp(_, ast.Constant(str(name)), ast.Constant(str(other))):
                self._names.counters |= {name, other}
            case _:
                self._offend(key, f"a counter that is not a literal: {ast.unparse(key)}")

    def _offend(self, node: ast.AST, problem: str) -> None:
        self._names.offences.append(f"{self._path}:{getattr(node, 'lineno', 0)}: {problem}")


def _name_of(node: ast.expr) -> str:
    """The last part of a dotted name: `_counters` of `self._owner._counters`."""
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_diagnostics(node: ast.expr) -> bool:
    return _name_of(node).endswith("diagnostics")


def _is_log(node: ast.expr) -> bool:
    name = _name_of(node)
    return name in LOG_NAMES or name.endswith("_log")
