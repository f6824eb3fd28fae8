"""The names of python-socketio that `zmqio.compat` does not offer, and what to use instead. Pure."""

__all__ = ["MODULE_NAMES", "PAGE", "SERVER_NAMES", "explain"]

PAGE = 'docs/from-python-socketio.md, "What zmqio.compat does not offer"'
"""The part of the guide that every error about such a name refers to."""

_CLIENT = "`zmqio.compat` has the server only; import clients from `socketio`"
_THREADS = "zmqio runs on asyncio; stay on python-socketio with `zmqio.python_socketio.Manager`"
_MANAGER = "nodes of zmqio need no client manager; give `AsyncServer` the broker's address as `client_manager`"

MODULE_NAMES = {
    **dict.fromkeys(("AsyncClient", "AsyncClientNamespace", "AsyncSimpleClient"), _CLIENT),
    **dict.fromkeys(
        ("BadNamespaceError", "Client", "ClientNamespace", "DisconnectedError", "SimpleClient"), _CLIENT
    ),
    **dict.fromkeys(("Middleware", "Namespace", "Server", "WSGIApp", "get_tornado_handler"), _THREADS),
    **dict.fromkeys(("AsyncAioPikaManager", "AsyncManager", "AsyncRedisManager", "KafkaManager"), _MANAGER),
    **dict.fromkeys(("KombuManager", "Manager", "PubSubManager", "RedisManager", "ZmqManager"), _MANAGER),
}
"""Name of the module `socketio` or `socketio.exceptions` -> what to do instead."""

SERVER_NAMES = {
    "attach": "serve `ASGIApp(server)`; servers of aiohttp, sanic and tornado are not supported",
    "eio": "use `server.io`, the `zmqio.Server`; its options replace those of Engine.IO",
    "environ": "use `server.get_environ(sid)`",
    "handlers": "register functions with `server.on`",
    "logger": "zmqio logs with structlog",
    "manager": "use the operations of `server.io`: `await server.io.of(namespace).to(room).fetch_sockets()`",
    "namespace_handlers": "register objects with `server.register_namespace`",
    "packet_class": "give `AsyncServer` the `serializer`",
}
"""Attribute of python-socketio's `AsyncServer` -> what to do instead."""


def explain(name: str, advice: str) -> str:
    """Return the text of an error about a name that is not offered."""
    return f"zmqio.compat does not offer {name}: {advice} ({PAGE})"
