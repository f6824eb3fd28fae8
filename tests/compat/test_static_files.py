"""Tests of `zmqio.compat.static_files`."""

import re
from pathlib import Path

import pytest
from engineio.static_files import get_static_file
from hypothesis import given
from hypothesis import strategies as st

from tests.support.asgi import http
from zmqio.compat.static_files import StaticFileApp, StaticFileRule, find_file

RULES: dict[str, StaticFileRule] = {
    "/": "index.html",
    "/static": "./public",
    "/files/": "data/",
    "/page": {"filename": "page.bin", "content_type": "x/y"},
}
PATHS = ["/", "/static/a.css", "/static/b/c.js", "/static/", "/files/x.txt", "/page", "/other", "/staticky"]


@pytest.mark.parametrize("rules", [RULES, {**RULES, "": "home.htm"}, {**RULES, "": {"filename": "h.txt"}}])
def test_the_file_is_that_of_python_engineio(rules: dict[str, StaticFileRule]) -> None:
    for path in PATHS:
        expected = get_static_file(path, rules)
        found = find_file(path, rules)
        assert (found and found[0]) == (expected and expected["filename"]), path


@given(st.lists(st.sampled_from(["..", ".", "a", "", "static", "files"]), max_size=6))
def test_no_path_leaves_the_folder(parts: list[str]) -> None:
    found = find_file("/" + "/".join(parts), RULES)
    assert found is None or ".." not in re.split("/", found[0])


async def test_files_are_served_and_everything_else_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>")
    (tmp_path / "b").write_bytes(b"\x00")

    async def other(scope: object, receive: object, send: object) -> None:
        raise LookupError("passed on")

    app = StaticFileApp({"/": str(tmp_path / "a.html"), "/s": str(tmp_path)}, other)
    page = await http(app, "GET", path="/")
    assert (page.status, page.headers["content-type"], page.text) == (200, "text/html", "<p>")
    assert (await http(app, "HEAD", path="/")).body == b""
    assert (await http(app, "POST", path="/")).status == 405
    assert (await http(app, "GET", path="/s/b")).headers["content-type"] == "application/octet-stream"
    for path in ("/s/missing", "/s", "/else"):
        with pytest.raises(LookupError):
            await http(app, "GET", path=path)
    assert (await http(StaticFileApp({"/x": "y"}, None), "GET", path="/x")).status == 404
