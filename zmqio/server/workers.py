"""Tell when this process is one of several workers on one port that do not know of each other.

Without a bus each of them is a server of its own, while the port gives a client's connections to any of them: the
most frequent cause of "Invalid session". Knows how uvicorn, hypercorn and gunicorn start workers; imports none.
"""

import multiprocessing
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePath

import structlog

__all__ = ["WorkerHost", "Workers", "find_workers", "warn_of_workers"]

log = structlog.get_logger(__name__)

EFFECT = (
    "requests of one client reach different workers, which answer 'Session ID unknown' ('Invalid session') to "
    "long-polling; and what one worker emits reaches only its own part of the clients"
)
REMEDY = (
    "join the workers: `zmqio broker`, and adapter='tcp://127.0.0.1:5555' or ZMQIO_ADAPTER for all of them; "
    "or let `zmqio serve module:app --workers N` run them"
)


@dataclass(frozen=True, slots=True)
class WorkerHost:
    """What is known of how this process was started.

    Attributes:
        environ: the environment.
        parent_command: program and arguments of the parent process; empty if unknown.
        siblings: how many children the parent has, this one included; 0 if unknown.
        spawned_by: top-level package of the function that `multiprocessing` runs here; "" if it runs none.
        spawned_workers: number of workers that this function was told of; 0 if none.
    """

    environ: Mapping[str, str]
    parent_command: Sequence[str] = ()
    siblings: int = 0
    spawned_by: str = ""
    spawned_workers: int = 0


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that share a port.

    Attributes:
        server: the program that runs them.
        count: how many, at least two.
    """

    server: str
    count: int


def find_workers(host: WorkerHost) -> Workers | None:
    """Say which workers this process is one of; None if it is alone on its port, as far as can be told.

    WEB_CONCURRENCY counts where it has an effect: uvicorn's own number of workers follows from it, gunicorn's too
    unless something else says more. Other servers, and a number in the environment of a single process, do not.
    """
    if host.spawned_workers > 1:
        return Workers(host.spawned_by, host.spawned_workers)
    if _is_gunicorn(host):
        count = max(_gunicorn_workers(host), host.siblings)
        return Workers("gunicorn", count) if count > 1 else None
    return None


def warn_of_workers() -> None:
    """For a node without a bus: log what will go wrong and what to do, if it is one of several workers."""
    workers = find_workers(_observe())
    if workers is not None:
        log.warning(
            "workers_without_a_bus", server=workers.server, workers=workers.count, effect=EFFECT, remedy=REMEDY
        )


def _is_gunicorn(host: WorkerHost) -> bool:
    """It sets SERVER_SOFTWARE for its workers; with `setproctitle` its command is "gunicorn: master [app]"."""
    if host.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/"):
        return True
    # The program itself, or the script that Python runs.
    return any(PurePath(part.split(":")[0]).name == "gunicorn" for part in host.parent_command[:2])


def _gunicorn_workers(host: WorkerHost) -> int:
    """From the command line, else GUNICORN_CMD_ARGS, else WEB_CONCURRENCY; a configuration file is not read."""
    return (
        _workers_option(host.parent_command)
        or _workers_option(_split(host.environ.get("GUNICORN_CMD_ARGS", "")))
        or _number(host.environ.get("WEB_CONCURRENCY", ""))
    )


def _workers_option(arguments: Sequence[str]) -> int:
    """The number behind the last `-w 4`, `-w4`, `--workers 4` or `--workers=4`; 0 without one."""
    count = 0
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument in ("-w", "--workers"):
            count = _number(following)
        elif argument.startswith("--workers="):
            count = _number(argument.removeprefix("--workers="))
        elif argument.startswith("-w"):
            count = _number(argument.removeprefix("-w")) or count
    return count


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _observe() -> WorkerHost:
    parent = os.getppid()
    command: list[str] = []
    siblings = 0
    with suppress(OSError):  # only Linux has these files
        command = Path(f"/proc/{parent}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        siblings = len(Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    spawned_by, spawned_workers = _spawned()
    return WorkerHost(os.environ, command, siblings, spawned_by, spawned_workers)


def _spawned() -> tuple[str, int]:
    """Who runs this process by `multiprocessing`, with how many workers.

    uvicorn and hypercorn hand their configuration over as the argument `config`. A reloader does the same, for one
    process at a time. `multiprocessing` documents no way to ask for either, hence the care.
    """
    process = multiprocessing.current_process()
    target = getattr(process, "_target", None)
    config = (getattr(process, "_kwargs", None) or {}).get("config")
    if target is None or config is None or getattr(config, "should_reload", False):
        return "", 0
    workers = getattr(config, "workers", 0)
    package: str = getattr(target, "__module__", "").partition(".")[0]
    return package, workers if isinstance(workers, int) else 0
