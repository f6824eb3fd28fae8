"""The bus over NATS, in its own protocol end; knows nothing of ZeroMQ."""
