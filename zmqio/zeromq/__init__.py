"""The bus over ZeroMQ, and the sockets of publishers that are not nodes; the only importer of zmq."""
