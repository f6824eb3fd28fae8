"""`zmqio demo`: a broker, two nodes and a chat page, for the first minute with zmqio.

run: starts the processes, keeps them running, stops them    process: one of these processes    ports: free ports
node: a node process    node_spec: its settings    chat: the application    static: the page
"""
