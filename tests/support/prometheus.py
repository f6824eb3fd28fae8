"""Reads the text format of Prometheus with prometheus-client's parser.

Test modules that import this one are skipped where the extra `zmqio[prometheus]` is not installed.
"""

from typing import Any

import pytest

__all__ = ["parse_families", "parse_values"]

parser = pytest.importorskip("prometheus_client.parser")


def parse_families(text: str) -> list[Any]:
    """Return the metrics, in order."""
    return list(parser.text_string_to_metric_families(text))


def parse_values(text: str) -> dict[str, float]:
    """Return the values by name and labels: `zmqio_sockets{namespace=/}`."""
    found: dict[str, float] = {}
    for family in parse_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, f"{name} is exposed twice"
            found[name] = sample.value
    return found
