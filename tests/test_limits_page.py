"""The page of limits names every limit of the code with its true default, and nothing that does not exist."""

import dataclasses
import inspect
import re
import types
import typing
from importlib import import_module
from pathlib import Path

import click
import pytest
from zmqio_broker.__main__ import cli as broker_cli

from tests.support.public_names import names_of_the_code
from zmqio import AsyncEmitter, Emitter, cli, config

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "limits.md"
NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)(?: (KiB|MiB|GiB))?")
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
NO_LIMIT = "no limit"
"""The default of an option that is None."""

NOT_LIMITS = {
    "compression_threshold_bytes": "decides what is worth compressing",
    "--port": "an address",
    "--broker-port": "an address",
    "--nodes": "a choice of the user",
    "--interval": "a choice of the user",
    "--stats-interval": "a choice of the user",
    "--ping-interval": "repeats the nodes' `ping_interval_s`",
    "--ping-timeout": "repeats the nodes' `ping_timeout_s`",
    "--max-payload": "repeats the nodes' `max_payload_bytes`",
    "ZMQIO_ADAPTER": "an address",
    "ZMQIO_CURVE_SECRET_FILE": "a path",
    "ZMQIO_NATS_CREDENTIALS": "a path",
    "ZMQIO_CURVE_SERVER_KEY": "a key",
    "ZMQIO_NODE_TAG": "a name",
    "ZMQIO_SERVE_WORKER": "internal",
    "ZMQIO_SERVE_ACCEPTOR": "internal",
    "ZMQIO_DEMO_NODE": "internal",
}
"""Numeric options and environment variables that limit nothing, with the reason."""

FIXED = {
    "callback of an emit of `zmqio.compat`": ["zmqio.compat.client_operations:CALLBACK_TIMEOUT_S"],
    "namespaces without a client that stay": ["zmqio.python_socketio.node:MAX_EMPTY_NAMESPACES"],
    "packets that wait for one client, without": ["zmqio.engine.session:HARD_LIMIT_FACTOR"],
    "packets that arrive while a client": ["zmqio.cluster.captures:MAX_CAPTURED_BYTES"],
    "functions of `on_stop`": ["zmqio.server.lifecycle:HANDLER_GRACE_S"],
    "handlers that run when the server closes": ["zmqio.server.lifecycle:HANDLER_GRACE_S"],
    "name of a dynamic namespace": ["zmqio.server.namespaces:MAX_DYNAMIC_NAME"],
    "packets for a client while its connect handler runs": ["zmqio.server.socket:MAX_QUEUED_PACKETS"],
    "head of the request that opens a session: number": ["zmqio.engine.handshake:MAX_HEADERS"],
    "packets that wait to be sent to one client, without": ["zmqio.engine.session:HARD_LIMIT_FACTOR"],
    "sessions that have sent nothing": ["zmqio.engine.silent_sessions:MAX_HEAD_BYTES"],
    "bodies of POSTs received in part": ["zmqio.engine.incomplete_bodies:MAX_INCOMPLETE_BYTES"],
    "closing handshake": ["zmqio.engine.websocket_transports:CLOSE_HANDSHAKE_S"],
    "frames of one message": ["zmqio.hosting.websocket_input:MAX_FRAGMENTS"],
    "input after invalid": ["zmqio.hosting.websocket_protocol:DISCARD_S"],
    "input that is parsed": ["zmqio.hosting.websocket_input:SLICE_BYTES"],
    "pongs that wait": [],
    "binary attachments": ["zmqio.protocol.parser:MAX_ATTACHMENTS"],
    "publish request: binary values of one event": ["zmqio.protocol.parser:MAX_ATTACHMENTS"],
    "events that are still handled": ["zmqio.server.client:KEPT_EVENT_BYTES"],
    "values: nesting": ["zmqio.protocol.value_limits:MAX_DEPTH"],
    "values: numbers": ["zmqio.protocol.value_limits:MAX_INT_DIGITS"],
    "handshake with a broker": ["zmqio.zeromq.connection:HANDSHAKE_LIMIT_S"],
    "login at a NATS server": ["zmqio.nats.connection:CONNECT_LIMIT_S"],
    "relayed polls": ["zmqio.relay.owner:BYTES_KEPT"],
    "relayed WebSocket": ["zmqio.relay.flow_control:WINDOW_BYTES"],
    "replay: unanswered requests for missed messages": [
        "zmqio.cluster.delivery.receiver:MAX_UNANSWERED_REQUESTS",
        "zmqio.cluster.delivery.receiver:REPLAY_RETRY_S",
    ],
    "replay: requests of all nodes": ["zmqio.cluster.delivery.replay_budget:MAX_WAITING_BYTES"],
    "silence of a broker": ["zmqio.zeromq.connection:SILENT_TICKS"],
    "connections of one process": ["zmqio.hosting.descriptor_reserve:MAX_RESERVED"],
    "connections, all endpoints": ["zmqio_broker.descriptors:RESERVED_DESCRIPTORS"],
    "control endpoint": ["zmqio_broker.sockets:CONTROL_MAX_REQUEST_BYTES"],
    "flush messages": ["zmqio_broker.ingest:KNOWN_TOKENS"],
    "log lines about refused keys": ["zmqio_broker.rejections:MAX_SUBJECTS", "zmqio_broker.rejections:INTERVAL_S"],
    "topic of a namespace": ["zmqio.protocol.topic:MAX_NAMESPACE_TOPIC_BYTES"],
    "topic of a room": ["zmqio.protocol.topic:MAX_ROOM_TOPIC_BYTES"],
    "topic that a node subscribes to": ["zmqio_broker.sockets:SUBSCRIPTION_MAX_BYTES"],
    "node that does not answer": ["zmqio.top.cluster_observer:FORGET_AFTER_S"],
    "bytes of one endpoint": [
        "zmqio_broker.connection_guard:MAX_INPUT_BYTES",
        "zmqio_broker.connection_guard:LARGEST_MESSAGES",
    ],
    "subscriptions that one node sends": [
        "zmqio_broker.subscription_guard:LIMITS_PER_S",
        "zmqio.zeromq.send_pace:BURST_SHARE",
        "zmqio.zeromq.send_pace:LIMITS_PER_S",
        "zmqio_broker.subscription_guard:BLOCKED_S",
    ],
    "replay: share of": ["zmqio.cluster.delivery.replay_buffer:RELAY_SHARE"],
    "replay: messages sent again to one node, as a share": [
        "zmqio.cluster.delivery.replay_budget:SHARE",
        "zmqio.cluster.delivery.replay_budget:FLOOR_BYTES_PER_S",
        "zmqio.cluster.delivery.replay_budget:SAVED_BYTES",
    ],
    "topics that all nodes": ["zmqio_broker.connection_guard:TOPIC_SHARES"],
    "copies of another node's sessions": ["zmqio.cluster.session_copies:MAX_COPY_BYTES"],
    "requests for the sessions": [
        "zmqio.cluster.batched_requests:MAX_REQUESTS",
        "zmqio.cluster.batched_requests:INTERVAL_S",
    ],
    "nodes that have left": ["zmqio.recovery.departed:MAX_NODES"],
    "return of a client": ["zmqio.recovery.store:RETURN_MARGIN_S"],
    "sessions and packets that a node hands over": [
        "zmqio.cluster.session_handover:MAX_HANDOVER_BYTES",
        "zmqio.cluster.session_handover:MAX_SESSION_BYTES",
    ],
    "silence of a node": ["zmqio_broker.sockets:HEARTBEAT_TIMEOUT_MS"],
    "publish request: length": ["zmqio.protocol.publish:MAX_ID_LENGTH"],
    "publish requests: ids": ["zmqio.cluster.decoder:IDS_KEPT", "zmqio.cluster.decoder:IDS_KEPT_S"],
    "connections that wait for a worker": ["zmqio.launcher.worker.link:MAX_PENDING"],
    "head of a request: number of header fields": [
        "zmqio.hosting.http_rejections:MAX_HEAD_FIELDS",
        "zmqio.trusted_proxies:MAX_FORWARDED_ADDRESSES",
    ],
    "query of a request": ["zmqio.protocol.query:MAX_QUERY_FIELDS"],
    "pipelined requests": ["zmqio.hosting.http_protocol:MAX_WAITING_BYTES"],
    "stalled worker": [
        "zmqio.launcher.accept.held_connections:MAX_HELD",
        "zmqio.launcher.accept.held_connections:HELD_LIMIT_S",
    ],
    "report of a worker": ["zmqio.launcher.worker.messages:MAX_SAMPLES_BYTES"],
    "start of a replacement worker": ["zmqio.launcher.slot:READY_TIMEOUT_S"],
    "stop of a worker": ["zmqio.launcher.options:STOP_MARGIN_S"],
    "TLS handshake": ["zmqio.hosting.accepted_server:TLS_HANDSHAKE_TIMEOUT_S"],
    "events that are shown": [
        "zmqio.server.admin.rate:MAX_EVENTS_PER_S",
        "zmqio.server.admin.rate:MAX_TRAFFIC_PER_S",
    ],
    "lines of one broadcast": ["zmqio.server.admin.feed:MAX_RECIPIENTS"],
    "login: failed ones": [
        "zmqio.server.admin.attempts:MAX_FAILURES_PER_ADDRESS",
        "zmqio.server.admin.attempts:WINDOW_S",
        "zmqio.server.admin.attempts:MAX_FAILURES",
    ],
    "login: those that wait": ["zmqio.server.admin.login:MAX_CHECKS"],
    "namespaces in the statistics": ["zmqio.server.admin.statistics:MAX_NAMESPACES"],
    "sessions of the page": [
        "zmqio.server.admin.sessions:MAX_SESSIONS",
        "zmqio.server.admin.sessions:SESSION_S",
    ],
    "sockets that a page receives": [
        "zmqio.server.admin.snapshot:MAX_SOCKETS",
        "zmqio.server.admin.snapshot:MAX_BYTES",
    ],
    "values of one event": ["zmqio.server.admin.clip:MAX_VALUES", "zmqio.server.admin.clip:MAX_TEXT"],
    "characters of one text": ["zmqio.log_text:MAX_TEXT"],
    "characters of one traceback": ["zmqio.log_text:MAX_TRACEBACK"],
    "lines about one event": [],
    "lines that cannot be written": [],
}
"""The beginning of a row without an option -> the constants whose values its default shows."""


@dataclasses.dataclass(frozen=True)
class Row:
    limit: str
    options: str
    default: str
    effect: str
    counter: str

    @property
    def names(self) -> set[str]:
        """Options, flags and environment variables of the row."""
        return set(re.findall(r"`((?:--)?[\w-]+)`", self.options.replace("`zmqio serve`", "")))

    def shows(self, value: float | None) -> bool:
        """Whether the default's cell contains the value."""
        if value is None:
            return NO_LIMIT in self.default
        numbers = [float(number.replace(",", "")) * UNITS[unit] for number, unit in NUMBER.findall(self.default)]
        return float(value) in numbers


def tables() -> list[list[Row]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(("## ", "| "))]
    found: list[list[Row]] = []
    for line in lines:
        if line.startswith("## "):
            found.append([])
        elif not line.startswith("| limit "):
            found[-1].append(Row(*(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])))
    return found


ROWS = [row for table in tables() for row in table]


def option_defaults() -> set[tuple[str, float | None]]:
    """(name, default) of every numeric option of Python, of the command line and of the environment."""
    found = {pair for kind in vars(config).values() if dataclasses.is_dataclass(kind) for pair in fields_of(kind)}
    for emitter in (Emitter, AsyncEmitter):
        for parameter in inspect.signature(emitter).parameters.values():
            if is_number(parameter.default):
                found.add((parameter.name, parameter.default))
    for command in (*cli.main.commands.values(), broker_cli):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and is_number(parameter.default):
                found.add((parameter.opts[0], parameter.default))
    found |= {(name, environment_default(name, found)) for name in environment_variables()}
    return {(name, default) for name, default in found if name not in NOT_LIMITS}


def fields_of(kind: type) -> set[tuple[str, float | None]]:
    hints = typing.get_type_hints(kind)
    return {
        (field.name, field.default if field.default_factory is dataclasses.MISSING else field.default_factory())
        for field in dataclasses.fields(kind)
        if numeric(hints[field.name])
    }


def numeric(hint: object) -> bool:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return bool({int, float} & set(members)) and bool not in members


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def environment_variables() -> set[str]:
    text = "".join(path.read_text() for folder in ("zmqio", "broker") for path in (ROOT / folder).rglob("*.py"))
    return set(re.findall(r"\bZMQIO_[A-Z0-9_]*[A-Z0-9]\b", text)) - NOT_LIMITS.keys()


def environment_default(variable: str, options: set[tuple[str, float | None]]) -> float | None:
    """The default of the option with the variable's name."""
    found = [default for name, default in options if name == variable.removeprefix("ZMQIO_").lower()]
    assert found, f"{variable} is not named for an option: name it ZMQIO_ and the option's name in capitals"
    return found[0]


def test_every_option_is_on_the_page_with_its_default() -> None:
    missing = [
        f"{name}, default {default}"
        for name, default in sorted(option_defaults(), key=str)
        if not any(name in row.names and row.shows(default) for row in ROWS)
    ]
    assert missing == [], "add them to docs/limits.md, or to NOT_LIMITS with the reason"


def test_every_default_on_the_page_is_that_of_its_options() -> None:
    known = option_defaults()
    wrong = [
        f"{row.limit}: {name}"
        for row in ROWS
        for name in row.names
        if not any(name == other and row.shows(default) for other, default in known)
    ]
    assert wrong == [], "the option does not exist, or has another default"


def test_every_counter_on_the_page_exists() -> None:
    counters = names_of_the_code().counters
    unknown = [
        f"{row.limit}: {name}"
        for row in ROWS
        for name in re.findall(r"`(\w+)`", row.counter)
        if name not in counters
    ]
    assert unknown == []


def test_every_limit_without_an_option_is_a_constant_of_the_code() -> None:
    wrong = []
    for row in (row for row in ROWS if not row.names):
        places = [FIXED[start] for start in FIXED if row.limit.startswith(start)]
        if len(places) != 1 or not all(row.shows(constant(place)) for place in places[0]):
            wrong.append(row.limit)
    assert wrong == [], "name their constants in FIXED, and show their values"
    unused = [start for start in FIXED if not any(row.limit.startswith(start) for row in ROWS)]
    assert unused == []


def constant(place: str) -> float:
    module, _, name = place.partition(":")
    value: float = getattr(import_module(module), name)
    return value / 1_000 if name.endswith("_MS") else value


@pytest.mark.parametrize("table", tables(), ids=lambda table: table[0].limit)
def test_rows_are_sorted_and_complete(table: list[Row]) -> None:
    limits = [row.limit.lower() for row in table]
    assert limits == sorted(limits)
    assert [row.limit for row in table for cell in dataclasses.astuple(row) if not cell] == []
