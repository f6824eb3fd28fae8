"""One HTTP request and its answer."""

import gzip

import pytest

from tests.support.asgi import Answer, http
from zmqio.engine.handshake import BAD_REQUEST, FORBIDDEN, read_request
from zmqio.engine.http_exchange import Exchange, accepted_encoding, compress


async def _answer(act) -> Answer:
    async def app(scope, receive, send) -> None:
        await act(Exchange(read_request(scope), receive, send, [("Access-Control-Allow-Origin", "http://a")]))

    return await http(app, "GET", "")


async def test_answers_carry_length_cors_headers_and_are_never_cached() -> None:
    answer = await _answer(lambda exchange: exchange.answer_text("é".encode(), [("set-cookie", "io=1")]))
    assert (answer.status, answer.text) == (200, "é")
    assert answer.headers == {
        "content-type": "text/plain; charset=UTF-8",
        "content-length": "2",
        "cache-control": "no-store",
        "set-cookie": "io=1",
        "access-control-allow-origin": "http://a",
    }


async def test_accepted_post_is_answered_ok_as_html() -> None:
    answer = await _answer(lambda exchange: exchange.answer_ok())
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "ok", "text/html")


async def test_refusal_is_json_with_its_status() -> None:
    answer = await _answer(lambda exchange: exchange.refuse(FORBIDDEN))
    assert (answer.status, answer.headers["content-type"]) == (403, "application/json")
    assert answer.text == '{"code":4,"message":"Forbidden"}'


async def test_refusal_of_a_request_whose_body_is_unread_closes_the_connection() -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.closes = True
        await exchange.refuse(BAD_REQUEST)

    assert (await _answer(refuse)).headers["connection"] == "close"
    assert "connection" not in (await _answer(lambda exchange: exchange.refuse(BAD_REQUEST))).headers


async def test_answer_of_another_node_is_forwarded_unchanged() -> None:
    answer = await _answer(lambda exchange: exchange.send_response(413, [(b"x-made-by", b"owner")], b"body"))
    assert (answer.status, answer.headers, answer.body) == (413, {"x-made-by": "owner"}, b"body")
    assert answer.complete


async def test_preflight_has_no_body() -> None:
    answer = await _answer(lambda exchange: exchange.answer_preflight())
    assert (answer.status, answer.body, answer.complete) == (204, b"", True)
    assert answer.headers == {"access-control-allow-origin": "http://a"}


@pytest.mark.parametrize("size", [100, 200_000])  # inline, and in a thread
async def test_compressed_body_states_its_encoding(size: int) -> None:
    body, headers = await compress(b"x" * size, "gzip", gzip.compress)
    assert gzip.decompress(body) == b"x" * size
    assert dict(headers) == {"content-encoding": "gzip", "vary": "Accept-Encoding"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("br", None),
        ("gzip, deflate, br", "gzip"),
        ("deflate", "deflate"),
        ("GZIP;q=0.5", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.0", None),
        ("*", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("identity", None),
    ],
)
def test_encoding_is_the_first_offered_that_the_client_takes(header: str, expected: str | None) -> None:
    assert accepted_encoding(header, ["gzip", "deflate"]) == expected
