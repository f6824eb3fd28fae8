"""Makes docs/reference/options.md from docstrings and signatures: `python -m tests.support.options_page`.

griffe, the reader of mkdocstrings, parses the docstrings. A test compares the page with the result.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

import griffe

import zmqio
from tests.support.pages import ROOT
from zmqio.config import BusOptions, EngineOptions, HttpLimits, ManagerOptions, Recovery, ServerOptions
from zmqio.launcher.options import ServeOptions
from zmqio.python_socketio import AsyncManager
from zmqio.testing import TestClient

__all__ = ["PAGE", "SECTIONS", "VARIABLES", "Row", "render", "rows_of"]

PAGE = ROOT / "docs" / "reference" / "options.md"

_INTRODUCTION = """\
# Options

Every option of the Python API and every environment variable, with its type, default, unit and effect. The
options of the commands are in [commands](commands.md). What happens at each limit is in [limits](../limits.md).

An option that is unknown or has an invalid value raises [`ConfigError`](errors.md#exceptions) when the object is
created; the message names the option and the reason. This page is made from the docstrings by
`python -m tests.support.options_page`, and a test compares it with the code.
"""

SECTIONS: tuple[tuple[str, str, Any], ...] = (
    ("`zmqio.Server`: arguments", "`zmqio.Server(adapter, node_tag=..., ...)`", zmqio.Server),
    ("`zmqio.Server`: connections and limits of a client", "Options of `zmqio.Server`.", EngineOptions),
    ("`zmqio.Server`: namespaces, events, shutdown", "Options of `zmqio.Server`.", ServerOptions),
    ("`zmqio.Recovery`", "`zmqio.Server(recovery=zmqio.Recovery(...))`. [What it does](../recovery.md)", Recovery),
    ("`io.asgi`", "Arguments of `io.asgi(...)`, which returns the ASGI app.", zmqio.Server.asgi),
    ("`io.admin`", "Arguments of `io.admin(...)`. [The admin page](../admin.md)", zmqio.Server.admin),
    ("`zmqio.ZmqAdapter`", "`zmqio.Server(adapter=zmqio.ZmqAdapter(address, ...))`", zmqio.ZmqAdapter),
    ("`zmqio.NatsAdapter`", "`zmqio.Server(adapter=zmqio.NatsAdapter(address, ...))`", zmqio.NatsAdapter),
    (
        "The bus",
        "Options of `zmqio.ZmqAdapter`, `zmqio.NatsAdapter` and the managers of `zmqio.python_socketio`.",
        BusOptions,
    ),
    (
        "`zmqio.Curve`",
        "Keys for a broker. [Security](../security.md)",
        zmqio.Curve,
    ),
    ("`zmqio.Emitter` and `zmqio.AsyncEmitter`", "Both have the same arguments.", zmqio.Emitter),
    ("`zmqio.serve`", "`zmqio.serve(app, ...)`; the command `zmqio serve` has the same options.", ServeOptions),
    (
        "`zmqio.python_socketio.AsyncManager` and `Manager`: arguments",
        "[From python-socketio](../from-python-socketio.md). They take the options of the bus as well.",
        AsyncManager,
    ),
    (
        "`zmqio.python_socketio.AsyncManager` and `Manager`: limits",
        "Options of both managers.",
        ManagerOptions,
    ),
    ("`zmqio.testing.TestClient`", "[Testing](../testing.md)", TestClient),
    (
        "`zmqio.uvicorn.HttpProtocol`",
        "Limits of one connection. uvicorn takes no options for it: each is set by the environment variable.",
        HttpLimits,
    ),
)
"""Heading, first line, and the class or function whose arguments are options."""

VARIABLES = {
    "ZMQIO_ADAPTER": (
        "address",
        "none",
        "Broker or NATS servers of `zmqio.Server()`, and of the commands `serve`, `emit`, `top` and `status`. "
        "An address given in the program or on the command line takes precedence.",
    ),
    "ZMQIO_NODE_TAG": (
        "4 characters",
        "random",
        "`node_tag` of `zmqio.Server`. No two nodes may have the same one. `zmqio serve` sets it for its workers.",
    ),
    "ZMQIO_DRAIN_S": (
        "seconds",
        "0",
        "`drain_s` of `zmqio.Server`, and `zmqio serve --drain`.",
    ),
    "ZMQIO_CURVE_SERVER_KEY": (
        "key or path",
        "none",
        "`server_key` of `zmqio.Curve`, for nodes and emitters. Set it together with the next one.",
    ),
    "ZMQIO_CURVE_SECRET_FILE": ("path", "none", "`secret_file` of `zmqio.Curve`, for nodes and emitters."),
    "ZMQIO_NATS_CREDENTIALS": ("path", "none", "`credentials` of `zmqio.NatsAdapter`."),
    "ZMQIO_MAX_HEAD_BYTES": (
        "bytes",
        "32,768",
        "`max_head_bytes` of `zmqio.uvicorn.HttpProtocol`, and `zmqio serve --max-head-bytes`.",
    ),
    "ZMQIO_HEAD_LIMIT_S": (
        "seconds",
        "10",
        "`head_limit_s` of `zmqio.uvicorn.HttpProtocol`, and `zmqio serve --head-timeout`.",
    ),
    "ZMQIO_WRITE_TIMEOUT_S": ("seconds", "60", "`write_timeout_s` of `zmqio.uvicorn.HttpProtocol`."),
    "FORWARDED_ALLOW_IPS": (
        "addresses and networks",
        "`127.0.0.1,::1`",
        "`trusted_proxies` of `zmqio.Server`, and `zmqio serve --trusted-proxies`. uvicorn reads it as well.",
    ),
    "NO_COLOR": ("any text", "none", "If it is set, log lines on a terminal have no colors."),
}
"""Environment variable -> form of its value, default, meaning."""

_COMPUTED = {
    (zmqio.Server, "adapter"): "`ZMQIO_ADAPTER`, otherwise none",
    (zmqio.Server, "node_tag"): "`ZMQIO_NODE_TAG`, otherwise random",
    (EngineOptions, "trusted_proxies"): "`FORWARDED_ALLOW_IPS`, otherwise loopback",
    (ServerOptions, "drain_s"): "`ZMQIO_DRAIN_S`, otherwise 0",
}
"""Defaults that are computed."""
_UNITS = (
    ("_bytes_per_s", "bytes per second"),
    ("_bytes", "bytes"),
    ("_s", "seconds"),
    *((f"_{noun}", noun) for noun in ("sessions", "packets", "events", "namespaces", "nodes", "messages")),
)
_PLAIN_DEFAULT = re.compile(r" \(default [-`\w.,]+( [KM]iB)?\)")
_FOLDERS = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")
_SEVERAL_NAMES = re.compile(r"^    \w+(?:, \w+)+:", re.M)


class Row(NamedTuple):
    name: str
    type: str
    default: str
    unit: str
    effect: str


def render() -> str:
    """Return the text of the page."""
    parts = [_INTRODUCTION]
    for heading, line, source in SECTIONS:
        parts.append(f"## {heading}\n\n{line}\n\n{_table(rows_of(source))}")
    parts.append(f"## Environment variables\n\n{_variables()}")
    return "\n".join(parts)


def _table(rows: Iterator[Row]) -> str:
    lines = ["| option | type | default | unit | effect |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _variables() -> str:
    lines = ["| variable | value | default | effect |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {' | '.join(cells)} |" for name, cells in VARIABLES.items()]
    return "\n".join(lines) + "\n"


def rows_of(source: Any) -> Iterator[Row]:
    """Return the options of a class or function that its docstring names, in the order of the docstring."""
    parameters = inspect.signature(source).parameters
    is_plain_class = isinstance(source, type) and not dataclasses.is_dataclass(source)
    hints = typing.get_type_hints(source.__init__ if is_plain_class else source, localns={"Curve": zmqio.Curve})
    for names, effect in _described(source):
        for name in names.split(", "):
            parameter = parameters.get(name)
            if parameter is None or parameter.kind is parameter.VAR_KEYWORD:
                continue  # `options`: the fields of another table
            text = _type(hints[name]).replace("|", "\\|")
            yield Row(f"`{name}`", f"`{text}`", _default(source, parameter), _unit(name, text), _effect(effect))


def _described(source: Any) -> Iterator[tuple[str, str]]:
    """(names, text) of each entry under `Args:` or `Attributes:`."""
    # griffe takes one name for each entry: entries with several get a joined one.
    joined = _SEVERAL_NAMES.sub(lambda match: match[0].replace(", ", "__and__"), inspect.getdoc(source) or "")
    for section in griffe.parse_google(griffe.Docstring(joined), warnings=False):
        if section.kind in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes):
            for entry in section.value:
                yield entry.name.replace("__and__", ", "), entry.description


def _effect(text: str) -> str:
    line = _PLAIN_DEFAULT.sub("", " ".join(text.split()))
    return (line[:1].upper() + line[1:]).rstrip(".").replace("|", "\\|") + "."


def _type(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(map(_type, typing.get_args(hint)))
    return "None" if hint is types.NoneType else _FOLDERS.sub("", inspect.formatannotation(hint))


def _default(source: Any, parameter: inspect.Parameter) -> str:
    if (source, parameter.name) in _COMPUTED:
        return _COMPUTED[source, parameter.name]
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"`{getattr(value, '__name__', value)}`"
    return _number(value, parameter.name)


def _number(value: float, name: str) -> str:
    for size, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if "_bytes" in name and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:,g}" if value < 1 else f"{value:,.10g}"


def _unit(name: str, annotation: str) -> str:
    if "int" not in annotation and "float" not in annotation:
        return "-"
    for suffix, unit in _UNITS:
        if name.endswith(suffix) or (suffix + "_per_") in name:
            return unit
    return "processes" if name in ("workers", "acceptors") else "-"


if __name__ == "__main__":
    PAGE.write_text(render())
