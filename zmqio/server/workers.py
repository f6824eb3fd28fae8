"""Detects that this process is one of several workers that share a port but not a bus, or not the intended one.

Without a bus each worker is a server of its own, while the port distributes the connections of one client over all
of them. This is the most frequent cause of "Invalid session". The module knows how uvicorn, hypercorn and gunicorn
start workers; it imports none of them.
"""

import multiprocessing
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePath

from zmqio.adapter.base import AdapterFactory
from zmqio.buses import addresses_of
from zmqio.config import address_from_environment
from zmqio.logger import get_logger

__all__ = ["WorkerHost", "Workers", "find_workers", "warn_of_other_adapter", "warn_of_workers"]

log = get_logger(__name__)

EFFECT = (
    "requests of one client reach different workers, which respond to long-polling with 'Session ID unknown' "
    "('Invalid session'); and events that one worker emits reach only its own clients"
)
REMEDY = (
    "connect the workers: start `zmqio broker` and set adapter='tcp://127.0.0.1:5555' or ZMQIO_ADAPTER for all of "
    "them; or run them with `zmqio serve module:app --workers N`"
)


@dataclass(frozen=True, slots=True)
class WorkerHost:
    """Facts about the start of this process, as far as they can be determined.

    Attributes:
        environ: the environment.
        parent_command: program and arguments of the parent process; empty if unknown.
        siblings: number of the parent's children, including this process; 0 if unknown.
        spawned_by: top-level package of the function that `multiprocessing` runs in this process; "" if none.
        spawned_workers: number of workers in that function's configuration; 0 if it has none.
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
        count: their number, at least two.
    """

    server: str
    count: int


def find_workers(host: WorkerHost) -> Workers | None:
    """Return the workers to which this process belongs; None if it seems to be alone on its port.

    WEB_CONCURRENCY counts only where it has an effect. It sets uvicorn's number of workers, and gunicorn's unless
    an option sets it. It means nothing to other servers or to a single process.
    """
    if host.spawned_workers > 1:
        return Workers(host.spawned_by, host.spawned_workers)
    if _is_gunicorn(host):
        count = max(_gunicorn_workers(host), host.siblings)
        return Workers("gunicorn", count) if count > 1 else None
    return None


def warn_of_workers() -> None:
    """Log a warning with the remedy if this node, which has no bus, is one of several workers."""
    workers = find_workers(_inspect_host())
    if workers is not None:
        log.warning(
            "unconnected_workers_detected",
            server=workers.server,
            workers=workers.count,
            effect=EFFECT,
            remedy=REMEDY,
        )


def warn_of_other_adapter(adapter: AdapterFactory) -> None:
    """Log a warning if the application's `adapter` option overrides `ZMQIO_ADAPTER`, which `zmqio serve` sets."""
    intended = address_from_environment()
    if intended is None or set(getattr(adapter, "addresses", ())) == set(addresses_of(intended)):
        return
    log.warning(
        "adapter_variable_ignored",
        adapter=repr(adapter),
        environment=",".join(addresses_of(intended)),
        hint="leave out `adapter` in Server(...) to use ZMQIO_ADAPTER, which `zmqio serve` sets for its workers",
    )


def _is_gunicorn(host: WorkerHost) -> bool:
    """Whether gunicorn runs this process.

    gunicorn sets SERVER_SOFTWARE for its workers; with `setproctitle` its command is "gunicorn: master [app]".
    """
    if host.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn/"):
        return True
    # The program itself, or the script that Python runs.
    return any(PurePath(part.split(":")[0]).name == "gunicorn" for part in host.parent_command[:2])


def _gunicorn_workers(host: WorkerHost) -> int:
    """Read the number of workers from the command line, else GUNICORN_CMD_ARGS, else WEB_CONCURRENCY.

    A configuration file is not read.
    """
    return (
        _workers_option(host.parent_command)
        or _workers_option(_split(host.environ.get("GUNICORN_CMD_ARGS", "")))
        or _number(host.environ.get("WEB_CONCURRENCY", ""))
    )


def _workers_option(arguments: Sequence[str]) -> int:
    """Return the number in the last `-w 4`, `-w4`, `--workers 4` or `--workers=4`; 0 if there is none."""
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


def _inspect_host() -> WorkerHost:
    parent = os.getppid()
    command: list[str] = []
    siblings = 0
    with suppress(OSError):  # only Linux has these files
        command = Path(f"/proc/{parent}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        siblings = len(Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    spawned_by, spawned_workers = _inspect_spawner()
    return WorkerHost(os.environ, command, siblings, spawned_by, spawned_workers)


def _inspect_spawner() -> tuple[str, int]:
    """Return the package whose function `multiprocessing` runs here, and its configured number of workers.

    uvicorn and hypercorn pass their configuration as the argument `config`. So does a reloader, for one process at
    a time. `multiprocessing` has no public way to read either, hence two private attributes of `BaseProcess`
    (unchanged in Python 3.11 to 3.14). If they are missing or of another type, no workers are detected.
    """
    process = multiprocessing.current_process()
    target = getattr(process, "_target", None)
    kwargs = getattr(process, "_kwargs", None)
    config = kwargs.get("config") if isinstance(kwargs, Mapping) else None
    if target is None or config is None or getattr(config, "should_reload", False):
        return "", 0
    workers = getattr(config, "workers", 0)
    package: str = getattr(target, "__module__", "").partition(".")[0]
    return package, workers if isinstance(workers, int) else 0
