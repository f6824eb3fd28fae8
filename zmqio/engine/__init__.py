"""Engine.IO over ASGI: sessions, transports and heartbeats; the only importer of engineio."""
