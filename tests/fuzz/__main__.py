"""Fuzz decoders for a time: `python -m tests.fuzz [NAME ...] --seconds N`. Without names: all of them in turn."""

import time

import click

from tests.fuzz.drive import FuzzError, fuzz
from tests.fuzz.targets import all_targets


@click.command()
@click.argument("names", nargs=-1)
@click.option("--seconds", default=60.0, show_default=True, help="Time for each decoder.")
@click.option("--seed", type=int, help="Seed of the random numbers. [default: the time]")
def main(names: tuple[str, ...], seconds: float, seed: int | None) -> None:
    """Fuzz the decoders NAMES. The exit code is 1 if a fault was found."""
    targets = all_targets()
    seed, faults = int(time.time()) if seed is None else seed, 0
    for name in names or targets:
        if name not in targets:
            raise click.BadParameter(f"{name!r} is not one of: {', '.join(targets)}")
        try:
            report = fuzz(targets[name], seconds, seed)
        except FuzzError as error:
            faults += 1
            click.echo(f"{name}: FAULT with seed {seed}: {error}")
            continue
        click.echo(f"{name}: {report.inputs} inputs, {report.accepted} accepted, no fault (seed {seed})")
        if report.slowest:
            click.echo(f"  slowest: {report.slowest_s_per_byte * 1e6:.1f} us per byte; {report.slowest!r:.300}")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
