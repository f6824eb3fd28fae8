"""The adapter contract, and the adapter of a single process. Imports neither zmq nor engineio."""
