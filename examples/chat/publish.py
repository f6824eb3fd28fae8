import zmqio

with zmqio.Emitter("tcp://127.0.0.1:5555") as emitter:
    emitter.to("lobby").emit("chat message", {"text": "from a worker"})
