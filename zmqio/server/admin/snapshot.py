"""The sockets of all nodes, which a page receives when it connects; later it receives changes only.

Each node describes its own sockets on request. Changes that happen while the answers are collected are applied to
the collected sockets, so that none is lost.

Source: `all_sockets` of @socket.io/admin-ui 0.5.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any

from zmqio.exceptions import BusError, RequestTimeoutError
from zmqio.server.admin.description import describe_socket
from zmqio.server.namespace import Namespace

__all__ = ["MAX_BYTES", "MAX_SOCKETS", "apply_changes", "collect", "describe_sockets"]

MAX_SOCKETS = 2_000
MAX_BYTES = 3 << 20
"""Sockets of all nodes, and their size as JSON, that one page receives; each node has the same share."""
REQUEST_LIMIT_S = 2.0
"""Longest time to wait for the answers of the other nodes."""
SLICE_SOCKETS = 50
"""Sockets described in one turn of the event loop: about 3 ms."""

Described = dict[str, Any]


async def collect(admin: Namespace, namespaces: Iterable[Namespace]) -> tuple[list[Described], int]:
    """Describe the sockets of all nodes; also return how many were left out.

    Args:
        admin: the admin namespace, in which the other nodes answer `describe`.
        namespaces: those of this node.
    """
    share = max(1, admin.server_count())
    limits = (MAX_SOCKETS // share, MAX_BYTES // share)
    request = admin.server_side_emit_with_ack("describe", *limits, timeout=REQUEST_LIMIT_S)
    (sockets, omitted), answers = await asyncio.gather(describe_sockets(namespaces, *limits), _answers(request))
    for found in answers:
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], list):
            sockets += found[0]
            omitted += int(found[1])
    return sockets, omitted


async def describe_sockets(
    namespaces: Iterable[Namespace], max_sockets: int, max_bytes: int
) -> tuple[list[Described], int]:
    """Describe the connected sockets of this node until a limit is reached; also return how many are left out."""
    sockets = [each for namespace in namespaces if namespace.is_open for each in namespace.sockets.values()]
    found: list[Described] = []
    size = 0
    for number, socket in enumerate(sockets):
        if number % SLICE_SOCKETS == SLICE_SOCKETS - 1:
            await asyncio.sleep(0)
        if not socket.connected:
            continue
        described = describe_socket(socket)
        size += len(json.dumps(described))
        if len(found) >= max_sockets or size > max_bytes:
            return found, len(sockets) - number
        found.append(described)
    return found, 0


def apply_changes(sockets: Iterable[Described], changes: Iterable[Sequence[Any]]) -> list[Described]:
    """Apply events of the page to described sockets; those of sockets that are not among them are ignored.

    A change may be included in the description already: applying it again has no effect.
    """
    found = {(each["nsp"], each["id"]): {**each, "rooms": list(each["rooms"])} for each in sockets}
    for event, *args in changes:
        match event:
            case "socket_connected":
                found.setdefault((args[0]["nsp"], args[0]["id"]), {**args[0], "rooms": list(args[0]["rooms"])})
            case "socket_disconnected":
                found.pop((args[0], args[1]), None)
            case "socket_updated":
                known = found.get((args[0]["nsp"], args[0]["id"]))
                if known is not None:
                    known.update(args[0])
            case "room_joined" | "room_left":
                _change_room(found.get((args[0], args[2])), args[1], joined=event == "room_joined")
    return list(found.values())


def _change_room(socket: Described | None, room: str, *, joined: bool) -> None:
    if socket is None:
        return
    rooms = [known for known in socket["rooms"] if known != room]
    socket["rooms"] = [*rooms, room] if joined else rooms


async def _answers(request: Any) -> list[Any]:
    try:
        return list(await request)
    except RequestTimeoutError as error:
        return error.responses
    except BusError:
        return []
