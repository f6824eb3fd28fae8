"""All fuzz targets by name."""

from tests.fuzz.bus_targets import BUS_TARGETS
from tests.fuzz.drive import FuzzTarget
from tests.fuzz.pure_targets import PURE_TARGETS
from tests.fuzz.server_targets import server_targets

__all__ = ["all_targets"]


def all_targets() -> dict[str, FuzzTarget]:
    """Every decoder that strangers can reach."""
    return PURE_TARGETS | BUS_TARGETS | server_targets()
