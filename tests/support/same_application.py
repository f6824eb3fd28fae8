"""One application for the server API of python-socketio, run by python-socketio and by `zmqio.compat`.

Clients command it: `call("do", operation, arguments)` runs a method of the server.
"""

from typing import Any

__all__ = ["build"]


def build(socketio: Any, client_manager: Any, namespace: str, **options: Any) -> Any:
    """Return the server.

    Args:
        socketio: the module: `socketio` or `zmqio.compat`.
        client_manager: of the server.
        namespace: of all handlers.
        options: of the server.
    """
    sio = socketio.AsyncServer(async_mode="asgi", client_manager=client_manager, **options)
    answers: list[Any] = []
    gone: list[Any] = []

    @sio.event(namespace=namespace)
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool | None:
        if "refuse" in (auth or {}):
            raise socketio.exceptions.ConnectionRefusedError("no", auth["refuse"])
        async with sio.session(sid, namespace) as session:
            session["auth"] = auth
            session["query"] = environ["QUERY_STRING"]
        for room in auth["rooms"]:
            await sio.enter_room(sid, room, namespace)
        await sio.emit("welcome", (sid, b"\x00"), to=sid, namespace=namespace)
        return None

    @sio.event(namespace=namespace)
    async def disconnect(sid: str, reason: str) -> None:
        gone.append([(await sio.get_session(sid, namespace))["auth"]["rooms"][0], reason])

    async def do(sid: str, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "state":
            return {"answers": answers, "gone": gone, "transport": sio.transport(sid, namespace)}
        if operation == "session":
            return (await sio.get_session(arguments.get("sid", sid), namespace))["auth"]
        if operation == "rooms":
            return sorted(sio.rooms(arguments["sid"], namespace))
        if "data" in arguments:
            arguments["data"] = tuple(arguments["data"])
        if arguments.get("callback"):
            arguments["callback"] = lambda *values: answers.append(list(values))
        return await getattr(sio, operation)(**arguments, namespace=namespace)

    sio.on("do", do, namespace=namespace)
    sio.on("*", lambda event, sid, *args: [event, *args], namespace=namespace)
    return sio
