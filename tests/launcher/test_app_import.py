"""Importing the app, and the errors when that fails."""

from pathlib import Path

import pytest

from zmqio.exceptions import ConfigError, ServeError
from zmqio.launcher.app_import import AppImportError, check_app_name, import_app


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Create a module with the text of the parameter; return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"app_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(request.param)
    return name


@pytest.mark.parametrize("module", ["class holder:\n    def app(scope, receive, send): ...\n"], indirect=True)
def test_app_is_imported(module: str) -> None:
    assert callable(import_app(f"{module}:holder.app"))


@pytest.mark.parametrize("app", ["chat", "chat:", ":app", "a b:app", "chat:app()", 7])
def test_name_of_another_form_is_rejected(app: object) -> None:
    with pytest.raises(ConfigError, match="module:attribute"):
        check_app_name(app)


def test_name_of_a_file_is_rejected_with_the_name_of_its_module() -> None:
    with pytest.raises(ConfigError, match=r"'src/served.py:app' names a file; .* for example 'src.served:app'"):
        check_app_name("src/served.py:app")


@pytest.mark.parametrize("module", ["import zmqio\nio = zmqio.Server(None)\n"], indirect=True)
def test_server_in_place_of_its_app_is_rejected_with_what_to_serve(module: str) -> None:
    with pytest.raises(ServeError, match=r"Server is not an ASGI app; serve what `io.asgi\(\)` returns"):
        import_app(f"{module}:io")


def test_missing_module_is_named_in_the_error() -> None:
    with pytest.raises(ServeError, match="no module named 'no_such_module'"):
        import_app("no_such_module.sub:app")


@pytest.mark.parametrize("module", ["x = 1"], indirect=True)
def test_missing_attribute_and_type_of_a_non_app_are_named_in_the_error(module: str) -> None:
    with pytest.raises(ServeError, match="has no attribute 'app'"):
        import_app(f"{module}:app")
    with pytest.raises(ServeError, match="int is not an ASGI app"):
        import_app(f"{module}:x")


@pytest.mark.parametrize("module", ["import no_such_module_inside", "1 / 0", "def broken("], indirect=True)
def test_error_in_the_module_keeps_its_traceback(module: str) -> None:
    with pytest.raises(AppImportError, match="cannot import app") as error:
        import_app(f"{module}:app")
    assert f"{module}.py" in error.value.traceback
    assert "importlib" not in error.value.traceback
    assert "\n" not in str(error.value)
