"""The bus over ZeroMQ: links to brokers, and the outside publisher's socket; the only importer of zmq."""
