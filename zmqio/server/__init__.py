"""Server layer: Socket.IO's server API (server, namespaces, sockets, broadcasts) and the ASGI app."""
