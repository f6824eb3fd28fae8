"""The Socket.IO server: its API (server, namespaces, sockets, broadcasts), its life cycle and its ASGI app."""
