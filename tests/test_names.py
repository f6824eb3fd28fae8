"""Tests of the names that `import zmqio` gives."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import zmqio_broker

import zmqio

SERVERS = ("aiohttp", "engineio", "uvicorn")
SHOW = "import sys; print(*(name for name in {servers} if name in sys.modules))"


def names_for_type_checkers() -> dict[str, str]:
    """Name -> module, from the imports that only a type checker reads."""
    tree = ast.parse(Path(zmqio.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.name: node.module or ""
        for node in imports
        if (node.module or "").startswith("zmqio.")
        for alias in node.names
    }


def test_every_name_is_the_one_that_type_checkers_see() -> None:
    told = names_for_type_checkers()
    assert sorted([*told, "__version__"]) == sorted(zmqio.__all__)
    for name, module in told.items():
        assert getattr(zmqio, name) is getattr(import_module(module), name), name


def test_names_are_listed_and_others_raise_attribute_error() -> None:
    assert set(zmqio.__all__) <= set(dir(zmqio))
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        getattr(zmqio, "Sever")  # noqa: B009  as a user would write it


def test_modules_are_available_without_a_separate_import() -> None:
    program = "import zmqio; print(zmqio.exceptions.BusError.__name__, zmqio.server.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "BusError zmqio.server\n"


@pytest.mark.parametrize(
    "program",
    [
        "import zmqio; zmqio.Emitter",
        "import zmqio.launcher.accept.acceptor",
        "import zmqio.launcher.serve",
        "import zmqio.cli",
    ],
)
def test_programs_without_clients_load_no_server(program: str) -> None:
    show = SHOW.format(servers=SERVERS)
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{show}"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


def test_server_loads_admin_page_and_recovery_only_if_they_are_used() -> None:
    """Each module costs a part of every node's start."""
    unused = ("zmqio.server.admin", "zmqio.server.session_recovery", "zmqio.recovery.store")
    program = "import zmqio\nio = zmqio.Server(adapter='tcp://127.0.0.1:1')\nio.of('/chat')\nio.asgi()"
    show = SHOW.format(servers=unused)
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{show}\nio.admin(insecure=True)\n{show}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["", "zmqio.server.admin"]


def test_no_docstring_begins_with_a_free_relative() -> None:
    """Nor does the text about an argument or attribute: the subject comes first, and it is a noun."""
    root = Path(zmqio.__file__).parent
    free_relative = re.compile(
        r'^\s*(?:"""|\w+: )(What|Whatever|Who|Whoever|Whose|Which|Where|When|How|So many|what|whoever|whatever) ',
        re.MULTILINE,
    )
    folders = (root, Path(zmqio_broker.__file__).parent)
    found = [
        str(path) for folder in folders for path in folder.rglob("*.py") if free_relative.search(path.read_text())
    ]
    assert found == []
