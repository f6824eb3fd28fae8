"""Wire protocol: bytes and values. Pure: no asyncio, zmq, engineio, logging or clock."""
