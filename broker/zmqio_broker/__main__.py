"""The command line of the broker: options, logs, signals, exit codes."""

import resource
import time
from typing import Any

import click
import structlog

from zmqio_broker.broker import Broker
from zmqio_broker.control import release
from zmqio_broker.endpoints import AddressError
from zmqio_broker.logs import LEVELS, LogFormat, configure_logs
from zmqio_broker.options import DEFAULT_BIND, BrokerOptions
from zmqio_broker.report import Reporter
from zmqio_broker.signals import END_OF_INPUT, StopSignals
from zmqio_broker.sockets import BindError, remove_folder

__all__ = ["cli"]

_TICK_S = 0.5
_STANDARD_INPUT = 0  # by number: closed, it has ended, and `sys.stdin` is None
_DEFAULTS = BrokerOptions()

log = structlog.get_logger(__name__)


@click.command(context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.option(
    "--bind",
    default=DEFAULT_BIND,
    show_default=True,
    metavar="ADDRESS",
    help="Base address. tcp://HOST:PORT takes four ports: control PORT, publish +1, subscribe +2, ingest +3 "
    "(HOST * is every interface; there is no authentication, so keep it on a private network). "
    "ipc://PATH takes four paths: PATH, PATH.publish, PATH.subscribe, PATH.ingest.",
)
@click.option(
    "--node-queue-messages",
    type=click.IntRange(min=1),
    default=_DEFAULTS.node_queue_messages,
    show_default=True,
    help="Most messages that wait for one node that reads too slowly. Beyond it messages to that node are "
    "dropped, so that it stalls nobody else.",
)
@click.option(
    "--ingest-queue-messages",
    type=click.IntRange(min=1),
    default=_DEFAULTS.ingest_queue_messages,
    show_default=True,
    help="Most messages that wait here from one outside sender. Beyond it that sender is slowed down.",
)
@click.option(
    "--max-message-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.max_message_bytes,
    show_default=True,
    help="Largest message. The sender of a larger one is disconnected. Keep it at least as high as "
    "`max_message_bytes` of the nodes, which check before they send.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="Lines on standard error: for people (console) or machines (json); auto: console on a terminal.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="Lowest level that is logged. debug logs every subscription, which costs CPU.",
)
@click.option(
    "--stats-interval",
    type=click.FloatRange(min=0),
    default=_DEFAULTS.stats_interval_s,
    show_default=True,
    metavar="SECONDS",
    help="Log statistics this often, if something moved; 0: never. They can always be asked for on control.",
)
@click.option(
    "--stop-with-stdin",
    is_flag=True,
    help="Stop when standard input ends, as it does with the process that holds its other end.",
)
@click.option(
    "--own-folder",
    is_flag=True,
    help="Beside --stop-with-stdin: the folder of the ipc paths goes with the broker then, if it is empty.",
)
@click.version_option(release(), prog_name="zmqio-broker")
def cli(
    bind: str,
    log_format: LogFormat,
    log_level: str,
    stats_interval: float,
    stop_with_stdin: bool,
    own_folder: bool,
    **limits: int,
) -> None:
    """Run the broker that joins zmqio nodes and outside services.

    It forwards messages and keeps none. SIGINT or SIGTERM stops it within two seconds; nodes reconnect to
    the next one by themselves. Exit codes: 0 stopped, 1 cannot start or failed,
    2 wrong option.
    """
    configure_logs(log_format, log_level)
    options = BrokerOptions(bind=bind, stats_interval_s=stats_interval, **limits)
    signals = StopSignals()
    if stop_with_stdin:
        signals.stop_with(_STANDARD_INPUT)
    _raise_open_files_limit()
    try:
        broker = Broker(options, debug=log_level == "debug")
        broker.start()
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--bind") from error
    except BindError as error:
        raise click.ClickException(str(error)) from error
    cause = _serve(broker, signals)
    if own_folder and cause == END_OF_INPUT:
        remove_folder(bind)


def _serve(broker: Broker, signals: StopSignals) -> str | None:
    """Run until it is told to stop; tells by what, None if it failed."""
    log.info(
        "broker_started",
        **broker.endpoints.by_role(),
        epoch=broker.epoch.hex(),
        release=release(),
        max_message_bytes=broker.options.max_message_bytes,
    )
    reporter = Reporter(broker.options.stats_interval_s, time.monotonic())
    statistics: dict[str, Any] = {}
    cause = None
    while cause is None and broker.failure() is None:
        cause = signals.wait(_TICK_S)
        statistics = broker.statistics()
        if statistics:
            reporter.tick(statistics, time.monotonic())
    _stop(broker, statistics, cause)
    return cause


def _stop(broker: Broker, statistics: dict[str, Any], cause: str | None) -> None:
    failure = broker.failure()
    if failure is not None:
        log.error("broker_failed", exc_info=failure, hint="it ends now; a supervisor should start it again")
    if not broker.stop():
        log.warning(
            "broker_stop_incomplete", hint="a thread did not end within a second; the process ends without it"
        )
    told = (
        "frames_in",
        "bytes_in",
        "frames_out",
        "bytes_out",
        "ingest_frames",
        "subscription_changes",
        "sync_acks",
    )
    log.info(
        "broker_stopped",
        cause=cause or "failure",
        uptime_s=broker.uptime_s(),
        **{name: statistics[name] for name in told if name in statistics},
    )
    if failure is not None:
        raise SystemExit(1)


def _raise_open_files_limit() -> None:
    """Allow as many connections as the administrator does: the soft limit of 1,024 is for users of select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    cli(prog_name="zmqio-broker")
