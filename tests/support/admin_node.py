"""Runs `tests.support.admin_app` as a node: `python -m tests.support.admin_node CONFIG FD`.

A module of its own, because the application reads the environment when it is imported.
"""

__all__ = ["main"]


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    from tests.support import admin_app

    admin_app.main()


if __name__ == "__main__":
    main()
