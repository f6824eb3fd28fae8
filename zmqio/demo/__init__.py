"""`zmqio demo`: a broker, two nodes and a chat page, for the first minute with zmqio.

chat: the application    node: one process that serves it    static: the page's files
run: starts everything, keeps it running and stops it        ports: finds free ones
"""
