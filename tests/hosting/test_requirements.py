"""The packages of the extra `zmqio[server]`."""

import tomllib
from pathlib import Path

import pytest

from zmqio.exceptions import ConfigError
from zmqio.hosting import requirements
from zmqio.hosting.requirements import require_web_server

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_installed_packages_are_accepted() -> None:
    require_web_server("zmqio serve")


def test_error_names_what_is_missing_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "PACKAGES", ("uvicorn", "no_such_package", "no_other_package"))
    with pytest.raises(ConfigError) as raised:
        require_web_server("zmqio serve")
    assert str(raised.value) == (
        "zmqio serve needs the web server (not installed: no_such_package, no_other_package); "
        "run: pip install 'zmqio[server]'"
    )


def test_the_extra_of_the_error_exists_and_only_it_has_a_web_server() -> None:
    assert any(each.startswith("uvicorn[standard]") for each in PROJECT["optional-dependencies"]["server"])
    assert not [each for each in PROJECT["dependencies"] if each.startswith(requirements.PACKAGES)]
