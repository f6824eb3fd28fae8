"""Fuzz decoders for a time: `python -m tests.fuzz [NAME ...] --seconds N`. Without names: all of them."""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import click

from tests.fuzz.drive import FuzzError, fuzz
from tests.fuzz.targets import all_targets


@click.command()
@click.argument("names", nargs=-1)
@click.option("--seconds", default=60.0, show_default=True, help="Time for each decoder.")
@click.option("--seed", type=int, help="Seed of the random numbers. [default: the time]")
@click.option(
    "--processes", type=click.IntRange(1), default=1, show_default=True, help="Decoders at the same time."
)
def main(names: tuple[str, ...], seconds: float, seed: int | None, processes: int) -> None:
    """Fuzz the decoders NAMES. The exit code is 1 if a fault was found."""
    targets = all_targets()
    for name in names:
        if name not in targets:
            raise click.BadParameter(f"{name!r} is not one of: {', '.join(targets)}")
    work = partial(_fuzz, seconds=seconds, seed=int(time.time()) if seed is None else seed)
    found = False
    with ProcessPoolExecutor(processes, get_context("fork")) as pool:
        for is_fault, text in pool.map(work, names or targets):
            found |= is_fault
            click.echo(text)
    raise SystemExit(1 if found else 0)


def _fuzz(name: str, seconds: float, seed: int) -> tuple[bool, str]:
    """Fuzz one decoder; return whether it has a fault, and what to print."""
    try:
        report = fuzz(all_targets()[name], seconds, seed)
    except FuzzError as error:
        return True, f"{name}: FAULT with seed {seed}: {error}"
    text = f"{name}: {report.inputs} inputs, {report.accepted} accepted, no fault (seed {seed})"
    if report.slowest:
        text += f"\n  slowest: {report.slowest_s_per_byte * 1e6:.1f} us per byte; {report.slowest!r:.300}"
    return False, text


if __name__ == "__main__":
    main()
