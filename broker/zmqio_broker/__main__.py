"""The broker's command line: options, logging, signals and exit codes."""

import time
from pathlib import Path
from typing import Any

import click
import structlog

from zmqio_broker.broker import Broker
from zmqio_broker.control import release
from zmqio_broker.descriptors import raise_open_files_limit
from zmqio_broker.endpoints import AddressError
from zmqio_broker.keys import KeyFileError
from zmqio_broker.logs import LEVELS, LogFormat, configure_logs
from zmqio_broker.metrics import MetricsServer, StatisticsCollector, parse_address
from zmqio_broker.options import DEFAULT_BIND, BrokerOptions
from zmqio_broker.report import Reporter, report_rejections
from zmqio_broker.security import is_private
from zmqio_broker.signals import END_OF_INPUT, RELOAD, StopSignals
from zmqio_broker.sockets import BindError, remove_folder

__all__ = ["cli"]

_TICK_S = 1.0
_STANDARD_INPUT = 0  # by number, because `sys.stdin` is None when standard input is closed
_DEFAULTS = BrokerOptions()
_LOGGED_AT_STOP = (
    "frames_in",
    "bytes_in",
    "frames_out",
    "bytes_out",
    "ingest_frames",
    "subscription_changes",
    "sync_acks",
)

log = structlog.get_logger(__name__)


@click.command(context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.option(
    "--bind",
    default=DEFAULT_BIND,
    show_default=True,
    metavar="ADDRESS",
    help="Base address of the four endpoints. tcp://HOST:PORT uses four ports: control PORT, publish +1, "
    "subscribe +2, ingest +3. ipc://PATH uses four paths: PATH, PATH.publish, PATH.subscribe, PATH.ingest. "
    "HOST * binds every interface, IPv4 and IPv6. Beyond this machine, --curve-secret or --insecure is required.",
)
@click.option(
    "--curve-secret",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Require keys, and encrypt. FILE is this broker's secret key file; `zmqio keygen` makes key files.",
)
@click.option(
    "--node-keys",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder with the public key file (NAME.key) of every node. A node's key gives full rights. SIGHUP reads "
    "the folder again.",
)
@click.option(
    "--sender-keys",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder with the public key files of outside senders, which may only publish.",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Without keys, bind an address that other machines can reach. Every peer that reaches it can read every "
    "broadcast, send to all clients and disconnect them.",
)
@click.option(
    "--node-queue-messages",
    type=click.IntRange(min=1),
    default=_DEFAULTS.node_queue_messages,
    show_default=True,
    metavar="N",
    help="Queue at most N messages for a node that reads too slowly. Beyond that, its messages are dropped "
    "and the node requests them again; other nodes are not delayed.",
)
@click.option(
    "--node-queue-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.node_queue_bytes,
    show_default=True,
    metavar="N",
    help="Queue at most about N bytes for a node that reads too slowly (TCP, on Linux). Beyond that, it is "
    "disconnected; it connects again and requests what it missed.",
)
@click.option(
    "--subscription-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.subscription_bytes,
    show_default=True,
    metavar="N",
    help="Accept at most N bytes of subscriptions at once from one node, and 2 N per second (TCP, on Linux): "
    "for each room the name and some 15 bytes. With keys, which encrypt them, 2.25 times N. Beyond that, it is "
    "disconnected; nodes of zmqio send no faster. The topics of all nodes together: 16 times N.",
)
@click.option(
    "--ingest-queue-messages",
    type=click.IntRange(min=1),
    default=_DEFAULTS.ingest_queue_messages,
    show_default=True,
    metavar="N",
    help="Queue at most N messages from each outside sender. Beyond that, the sender is slowed down.",
)
@click.option(
    "--max-message-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.max_message_bytes,
    show_default=True,
    metavar="N",
    help="Largest message. The sender of a larger one is disconnected. Set it at least as high as the nodes' "
    "`max_message_bytes` option; nodes check before they send.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="Format of log lines on standard error. auto: console on a terminal, json otherwise.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="Lowest level to log. debug logs every subscription, which costs CPU.",
)
@click.option(
    "--stats-interval",
    type=click.FloatRange(min=0),
    default=_DEFAULTS.stats_interval_s,
    show_default=True,
    metavar="SECONDS",
    help="Log statistics at this interval if any counter changed. 0: never. The control endpoint always "
    "answers requests for them.",
)
@click.option(
    "--metrics",
    metavar="ADDRESS",
    help="Serve the statistics for Prometheus at this HOST:PORT, over HTTP to everyone who can reach it. PORT "
    "alone is for this machine only. Needs zmqio[prometheus]. [default: off]",
)
@click.option(
    "--stop-with-stdin",
    is_flag=True,
    help="Stop when standard input ends, for example because the parent process has died.",
)
@click.option(
    "--own-folder",
    is_flag=True,
    help="With --stop-with-stdin and an ipc address: remove the folder of the paths at the end of input, if it "
    "is empty.",
)
@click.version_option(release(), prog_name="zmqio broker")
def cli(
    bind: str,
    log_format: LogFormat,
    log_level: str,
    stats_interval: float,
    stop_with_stdin: bool,
    own_folder: bool,
    insecure: bool,
    metrics: str | None,
    **options: Any,
) -> None:
    """Run the broker that connects zmqio nodes and outside services.

    The broker forwards messages and stores none. SIGINT or SIGTERM stops it within two seconds. Nodes reconnect
    to a restarted broker by themselves.

    Exit codes: 0 stopped, 1 could not start or failed, 2 wrong option.

    Example: zmqio broker --bind tcp://10.0.0.5:5555
    """
    configure_logs(log_format, log_level)
    checked = _checked_options(bind=bind, stats_interval_s=stats_interval, **options)
    signals = StopSignals(reloads=checked.curve_secret is not None)
    if stop_with_stdin:
        signals.watch_pipe(_STANDARD_INPUT)
    raise_open_files_limit()
    collector = _serve_metrics(metrics)
    try:
        broker = Broker(checked, debug=log_level == "debug")
        if not insecure:
            _check_exposure(checked)
        broker.start()
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--bind") from error
    except (BindError, KeyFileError) as error:
        raise click.ClickException(str(error)) from error
    cause = _serve(broker, signals, collector)
    if own_folder and cause == END_OF_INPUT:
        remove_folder(bind)


def _checked_options(**options: Any) -> BrokerOptions:
    try:
        checked = BrokerOptions(**options)
    except ValueError as error:
        raise click.UsageError(
            "--curve-secret and --node-keys belong together; --sender-keys needs both"
        ) from error
    return checked


def _check_exposure(options: BrokerOptions) -> None:
    if options.curve_secret is None and not is_private(options.bind):
        raise click.UsageError(
            f"--bind {options.bind} can be reached from other machines. Without keys, every peer that reaches it "
            "can read every broadcast, send to all clients and disconnect them. Give --curve-secret and "
            "--node-keys (see `zmqio keygen`), or --insecure on a network that you trust"
        )


def _serve_metrics(address: str | None) -> StatisticsCollector:
    """Serve the metrics if there is an address; return the holder of the statistics that are served."""
    if address is None:
        return StatisticsCollector()
    try:
        return MetricsServer(*parse_address(address)).collector
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--metrics") from error
    except ImportError as error:
        raise click.UsageError("--metrics needs prometheus-client: pip install zmqio[prometheus]") from error
    except OSError as error:
        raise click.ClickException(f"cannot serve metrics at {address}: {error.strerror}") from error


def _serve(broker: Broker, signals: StopSignals, collector: StatisticsCollector) -> str | None:
    """Run until a stop request or a failure. Return the cause of the stop, or None after a failure."""
    log.info(
        "broker_started",
        **broker.endpoints.by_role(),
        epoch=broker.epoch.hex(),
        release=release(),
        max_message_bytes=broker.options.max_message_bytes,
        public_key=None if broker.security is None else broker.security.public_key,
    )
    reporter = Reporter(broker.options.stats_interval_s, time.monotonic())
    statistics: dict[str, Any] = {}
    cause = None
    while cause is None and broker.failure() is None:
        cause = signals.wait(_TICK_S)
        if cause == RELOAD:
            broker.reload_keys()
            cause = None
        statistics = broker.statistics()
        if statistics:
            collector.statistics = statistics
            reporter.tick(statistics, time.monotonic())
            broker.check_connections(statistics)
        report_rejections(broker.rejections.take(time.monotonic()))
    _stop(broker, statistics, cause)
    return cause


def _stop(broker: Broker, statistics: dict[str, Any], cause: str | None) -> None:
    failure = broker.failure()
    if failure is not None:
        log.error(
            "broker_failed", exc_info=failure, hint="the process exits with code 1; a supervisor restarts it"
        )
    if not broker.stop():
        log.warning("broker_stop_timed_out", hint="a thread did not end within 1 s; the process exits anyway")
    log.info(
        "broker_stopped",
        cause=cause or "failure",
        uptime_s=broker.uptime_s(),
        **{name: statistics[name] for name in _LOGGED_AT_STOP if name in statistics},
    )
    if failure is not None:
        raise SystemExit(1)


if __name__ == "__main__":
    cli(prog_name="zmqio broker")
