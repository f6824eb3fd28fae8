"""Adapter layer: who is in which room, and how nodes tell each other. No zmq, no engineio."""
