"""Grows inputs for decoders: valid ones from seeds, cut, doubled, swapped, nested, and with lies about lengths.

An input is a list of parts, each a text or bytes: the frames of one packet, or one message.
"""

import random
import struct
from collections.abc import Callable, Sequence

__all__ = ["MAX_PART", "Parts", "mutate"]

Parts = list[str | bytes]

MAX_PART = 1 << 16
"""Longest part, in bytes or characters."""

_NUMBERS = (
    *(
        "0",
        "-1",
        "1e999",
        "NaN",
        "Infinity",
        "-0",
        "1e-999",
        "00",
        "0x10",
        "1" * 25,
        "9" * 310,
        "9" * 5_000,
        "2.5",
    ),
    *(str(1 << bits) for bits in (31, 32, 53, 63, 64, 128)),
)
_TEXTS = (
    *(
        "\ud800",
        "\udfff\ud800",
        "\0",
        "\r\n",
        "\x1e",
        "\u2028",
        "é",
        "\U0001f600",
        "%00",
        "%ff%fe",
        "//",
        ",",
        "-",
    ),
    *('{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":-1}', '"__proto__"', "[[", "]]", "{}", "null"),
    *("connect", "sid=", "&" * 40, ": " * 20, "X-Forwarded-For: ", "Transfer-Encoding: chunked\r\n"),
)
_BYTES = (
    *(
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\0",
        b"\x1e",
        b"\r\n\r\n",
        b"\x80",
        b"\x90",
    ),
    *(
        b"\xdc\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\x7f\xff\xff",
    ),
    *(b"\xc9\x00\x00\x00\xff\x05", b"\xd6\xff\x00\x00\x00\x01", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", b"\xc1"),
    *(b"\x02\xff\xff\xff\xff\xff\xff\xff\xff", b"\x04\x05\x04PING", b"\x88\x80", b"\x89\xfe", b"\x01\x80"),
)
_OPENERS = (("[", "]"), ('{"a":', "}"), ('["x",', "]"))


def mutate(rng: random.Random, seeds: Sequence[Parts]) -> Parts:
    """Return a seed after up to six mutations; some seeds unchanged."""
    parts = list(rng.choice(seeds))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        rng.choice(_PART_MUTATIONS)(rng, parts, seeds)
        parts = [part[:MAX_PART] for part in parts]  # at once, or three repetitions make gigabytes
    return parts


def _change(rng: random.Random, parts: Parts, seeds: Sequence[Parts]) -> None:
    if not parts:
        return
    at = rng.randrange(len(parts))
    part = parts[at]
    parts[at] = (
        rng.choice(_TEXT_MUTATIONS)(rng, part) if isinstance(part, str) else rng.choice(_BYTE_MUTATIONS)(rng, part)
    )


def _splice(rng: random.Random, parts: Parts, seeds: Sequence[Parts]) -> None:
    """Join the beginning of a part with the end of another of its kind."""
    other = rng.choice(rng.choice(seeds) or [b""])
    for at, part in enumerate(parts):
        cut = rng.randint(0, len(part))
        if (isinstance(part, str) and isinstance(other, str)) or (
            isinstance(part, bytes) and isinstance(other, bytes)
        ):
            parts[at] = part[:cut] + other[rng.randint(0, len(other)) :]


def _move_parts(rng: random.Random, parts: Parts, seeds: Sequence[Parts]) -> None:
    match rng.randrange(4) if parts else 3:
        case 0:
            parts.append(rng.choice(parts))
        case 1:
            parts.pop(rng.randrange(len(parts)))
        case 2:
            rng.shuffle(parts)
        case _:
            parts.extend(rng.choice(seeds))
    del parts[20:]


def _range(rng: random.Random, size: int) -> tuple[int, int]:
    start = rng.randint(0, size)
    return start, min(size, start + rng.choice((1, 1, 2, 4, 16, size)))


def _repetitions(rng: random.Random, size: int) -> int:
    return min(rng.choice((2, 3, 50, 2_000)), MAX_PART // max(1, size) + 1)


def _cut_text(rng: random.Random, text: str) -> str:
    start, end = _range(rng, len(text))
    return text[:start] + text[end:]


def _repeat_text(rng: random.Random, text: str) -> str:
    start, end = _range(rng, len(text))
    return text[:start] + text[start:end] * _repetitions(rng, end - start) + text[end:]


def _insert_text(rng: random.Random, text: str) -> str:
    start, end = _range(rng, len(text))
    keep = end if rng.random() < 0.5 else start
    return text[:start] + rng.choice(rng.choice((_TEXTS, _NUMBERS))) + text[keep:]


def _replace_digits(rng: random.Random, text: str) -> str:
    places = [at for at, character in enumerate(text) if character.isdigit()]
    if not places:
        return text
    at = rng.choice(places)
    return text[:at] + rng.choice(_NUMBERS) + text[at + 1 :]


def _nest_text(rng: random.Random, text: str) -> str:
    opener, closer = rng.choice(_OPENERS)
    start, end = _range(rng, len(text))
    depth = rng.choice((1, 20, 127, 128, 129, 1_000, 5_000))
    return text[:start] + opener * depth + text[start:end] + closer * depth + text[end:]


def _cut_bytes(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, len(data))
    return data[:start] + data[end:]


def _repeat_bytes(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, len(data))
    return data[:start] + data[start:end] * _repetitions(rng, end - start) + data[end:]


def _insert_bytes(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, len(data))
    keep = end if rng.random() < 0.5 else start
    new = rng.choice(_BYTES) if rng.random() < 0.7 else rng.choice(_TEXTS).encode(errors="surrogatepass")
    return data[:start] + new + data[keep:]


def _flip_byte(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    byte = rng.choice((data[at] ^ (1 << rng.randrange(8)), rng.randrange(256), (data[at] + 1) % 256))
    return data[:at] + bytes((byte,)) + data[at + 1 :]


def _lie_about_length(rng: random.Random, data: bytes) -> bytes:
    """Overwrite one, two, four or eight bytes by an extreme number."""
    size = rng.choice("BHIQ")
    most = (1 << 8 * struct.calcsize(size)) - 1
    number = struct.pack(f">{size}", rng.choice((0, 1, most, most >> 1, most - 1, len(data) & most)))
    at = rng.randint(0, len(data))
    return data[:at] + number + data[at + len(number) :]


def _nest_bytes(rng: random.Random, data: bytes) -> bytes:
    start, _ = _range(rng, len(data))
    depth = rng.choice((1, 20, 127, 128, 129, 511, 512, 1_023, 5_000))
    return data[:start] + rng.choice((b"\x91", b"\x81\xa1a", b"\xdc\x00\x01")) * depth + data[start:]


_TEXT_MUTATIONS: tuple[Callable[[random.Random, str], str], ...] = (
    *(_cut_text, _repeat_text, _insert_text, _insert_text, _replace_digits, _nest_text),
)
_BYTE_MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(
        _cut_bytes,
        _repeat_bytes,
        _insert_bytes,
        _insert_bytes,
        _flip_byte,
        _flip_byte,
        _lie_about_length,
        _nest_bytes,
    ),
)
_PART_MUTATIONS: tuple[Callable[[random.Random, Parts, Sequence[Parts]], None], ...] = (
    *(_change, _change, _change, _change, _splice, _move_parts),
)
