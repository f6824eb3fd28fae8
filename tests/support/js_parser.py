"""The official JavaScript client with another parser built in, for the script that drives `JsClients`."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.npm import node_modules, require_node

__all__ = ["js_tools_with_parser"]


def js_tools_with_parser(folder: Path, parser: str) -> Callable[[], tuple[str, Path]]:
    """Return the tools for `JsClients`, with a `socket.io-client` that uses an npm parser.

    Args:
        folder: empty; gets a `node_modules/socket.io-client` that forwards everything to the real package.
        parser: npm name of the parser.
    """

    def find() -> tuple[str, Path]:
        real = node_modules("socket.io-client", parser)
        package = folder / "node_modules" / "socket.io-client"
        package.mkdir(parents=True)
        version = json.loads((real / "socket.io-client" / "package.json").read_text())["version"]
        (package / "package.json").write_text(json.dumps({"version": version, "main": "index.js"}))
        (package / "index.js").write_text(
            f"const client = require({json.dumps(str(real / 'socket.io-client'))});\n"
            f"const parser = require({json.dumps(str(real / parser))});\n"
            "class Manager extends client.Manager {\n"
            "  constructor(url, options) { super(url, { ...options, parser }); }\n"
            "}\n"
            "module.exports = { ...client, Manager };\n"
        )
        return require_node(), folder

    return find
