"""Shared parts of the benchmark commands: the turns of contestants, and lists on the command line."""

import argparse
from collections.abc import Callable
from typing import TypeVar

__all__ = ["list_of", "turned"]

T = TypeVar("T")


def turned(contestants: list[T], by: int) -> list[T]:
    """Order the contestants of a round. Each round begins with another one, so that none always runs after the
    same."""
    by %= max(len(contestants), 1)
    return contestants[by:] + contestants[:by]


def list_of(known: list[str]) -> Callable[[str], list[str]]:
    """The type of a command-line argument: names from `known`, separated by commas."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return parse
