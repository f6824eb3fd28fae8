"""Checks that the packages of the web server are installed: the extra `zmqio[server]`.

Imports none of them, so that the supervisor of `zmqio serve` need not load what only its workers use.
"""

from importlib.util import find_spec

from zmqio.exceptions import ConfigError

__all__ = ["PACKAGES", "require_web_server"]

PACKAGES = ("uvicorn", "httptools", "websockets")
"""Import names. uvloop is optional: it does not exist on every platform."""


def require_web_server(what: str) -> None:
    """Check that the web server is installed.

    Args:
        what: the command or class that needs it; the subject of the error.

    Raises:
        ConfigError: a package is not installed; the text says how to install it.
    """
    absent = [name for name in PACKAGES if not _is_installed(name)]
    if absent:
        raise ConfigError(
            f"{what} needs the web server (not installed: {', '.join(absent)}); run: pip install 'zmqio[server]'"
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # a parent or an import hook refuses it
        return False
