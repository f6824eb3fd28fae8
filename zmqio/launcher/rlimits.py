"""The limit of open files: every connection is one."""

import resource

__all__ = ["open_many_files"]


def open_many_files() -> int:
    """Raise this process's limit as far as it may without privileges; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS has a lower limit of its own
            return soft
    return hard
