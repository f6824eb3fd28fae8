"""Times on a grid: timers that are due on the same multiple of a step wake a process once, not one by one.

Waking up costs an idle process more than the work of most timers. Pure: the caller passes the time of its clock.
"""

__all__ = ["next_on_grid"]


def next_on_grid(now_s: float, step_s: float) -> float:
    """The first multiple of `step_s` after `now_s`: at most `step_s` later."""
    return (now_s // step_s + 1) * step_s
