"""Attack nodes on which official JavaScript clients exchange messages: `python -m tests.bench.attacks [NAME]`.

It needs Node.js. Each attack gets a new broker and new nodes, and is over within a minute.
"""

import asyncio
import sys

import click

from tests.bench.attacks.attacked import WAYS, AttackResult, run_attack
from tests.bench.attacks.attacks import ATTACKS

MOST_GROWTH = 150 << 20
COLUMNS = f"{'attack':<22}{'units':>9}{'MB sent':>9}{'conns':>8}{'gone':>6}{'lost':>6}{'+MB':>7}{'left MB':>9}"
COLUMNS += f"{'ack ms':>8}{'log KB':>8}"


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--way", type=click.Choice(list(WAYS)), default="uvicorn", show_default=True, help="nginx: two nodes."
)
@click.option("--clients", default=100, show_default=True, help="Well-behaved clients; an even number.")
@click.option("--seconds", default=6.0, show_default=True, help="Time of each attack.")
def main(names: tuple[str, ...], way: str, clients: int, seconds: float) -> None:
    """Run the attacks NAMES, or all of them. The exit code is 1 if a node failed the test."""
    unknown = set(names) - ATTACKS.keys()
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(ATTACKS)}")
    click.echo(f"python -m tests.bench.attacks --way {way} --clients {clients} --seconds {seconds:g}")
    click.echo(
        f"Python {sys.version.split()[0]}; a node passes with gone 0, lost 0, at most {MOST_GROWTH >> 20} +MB"
    )
    click.echo(COLUMNS)
    failed = [name for name in names or ATTACKS if not _passes(name, way, clients, seconds)]
    if failed:
        click.echo(f"failed: {', '.join(failed)}")
    raise SystemExit(1 if failed else 0)


def _passes(name: str, way: str, clients: int, seconds: float) -> bool:
    try:
        result = asyncio.run(run_attack(ATTACKS[name], way, clients, seconds))
    except AssertionError as error:
        click.echo(f"{name:<22}{str(error)[:200]}")
        return False
    click.echo(_row(name, result))
    return not (result.disconnects or result.lost or result.growth_bytes > MOST_GROWTH)


def _row(name: str, result: AttackResult) -> str:
    return (
        f"{name:<22}{result.units:>9,}{result.sent_bytes / 1e6:>9,.1f}{result.connections:>8,}"
        f"{result.disconnects:>6}{result.lost:>6}{result.growth_bytes / 2**20:>7.0f}"
        f"{result.left_bytes / 2**20:>9.0f}{result.slowest_ms:>8.0f}{result.log_bytes / 1e3:>8.0f}"
        f"  {result.wrong[:80]}"
    )


if __name__ == "__main__":
    main()
