"""The argument of the event that the servers under test broadcast."""

__all__ = ["payload"]

OVERHEAD_BYTES = len('42["m",""]')


def payload(sequence: int, size_bytes: int) -> str:
    """Text that makes the Socket.IO packet `42["m",TEXT]` exactly `size_bytes` long."""
    return f"{sequence:08d}".ljust(size_bytes - OVERHEAD_BYTES, "x")
