"""A complete, commented HAProxy configuration for a `Balancing`. Pure: a value in, text out.

Source: https://docs.haproxy.org/ (configuration manual, 2.6)
"""

from zmqio.recipes.balancing import Balancing, Mode

__all__ = ["haproxy_conf"]

CONNECTIONS_A_CLIENT = 2

CHOICES: dict[Mode, str] = {
    "address": """\
    # The same client address, the same node. Everybody behind one address (an office, another proxy) is on one
    # node; behind a proxy that you trust, `balance hdr(x-forwarded-for)` looks at the clients' own addresses.
    balance source
    hash-type consistent
""",
    "tag": """\
    # A session id begins with the 4 characters of its node's tag: `node_tag=` of zmqio.Server, or ZMQIO_NODE_TAG.
    # New sessions, and those of a node that is down, go where the fewest connections are.
    balance leastconn
%(rules)s""",
    "round-robin": """\
    # One after the other, whoever asks. No session sticks to anything: a node that gets a request of a session
    # that is not its own forwards it to the owner, over the broker. Every node needs `adapter=` for that.
    balance roundrobin
""",
}

CONFIGURATION = """\
# HAProxy in front of %(nodes)s for Socket.IO. Made by `zmqio haproxy-conf`, mode `%(mode)s`.
#
# It is complete: `haproxy -f THIS_FILE` runs it.

global
    # Connections of clients at the same time; a polling client has up to two. Each costs a second one, to a node,
    # and two open files: HAProxy does not start where `ulimit -n` allows fewer.
    maxconn %(connections)d
    log stdout format raw local0 notice  # nodes going down and coming back; a line for each poll would be `info`

defaults
    mode http
    log global
    timeout connect 3s
    # How long a client may take to send the head of a request.
    timeout http-request 10s
    # Longest silence. A node sends a ping every %(ping_interval)g s, into a WebSocket (`tunnel`) and into a
    # waiting poll, and waits %(ping_timeout)g s for the answer; it has to be the one that ends a dead connection.
    timeout client %(silence)ds
    timeout server %(silence)ds
    timeout tunnel %(silence)ds
    # Only a request that could not be sent, because no connection was made, goes to another node. What was sent is
    # never repeated: messages would come twice.
    retry-on conn-failure
    retries 2
    option redispatch 1
    # One connection for each request, on both sides. If a node dies during a request, HAProxy (2.6) just closes a
    # client's connection that was kept: a browser then sends the request again, even a POST, and the polling
    # client for Node.js waits for its ping timeout. On a fresh one it answers 502, and the client reconnects.
    option httpclose
    option forwardfor  # X-Forwarded-For

frontend socketio
    bind %(listen)s
    # With TLS (the browser then uses wss:// by itself):
    # bind *:443 ssl crt /etc/ssl/chat.pem
    http-request set-header X-Forwarded-Proto %%[ssl_fc,iif(https,http)]
    http-request set-header X-Forwarded-Host %%[req.hdr(host)]
    default_backend zmqio

backend zmqio
%(choice)s    # A node that refuses a connection is left out until a check, one every second, finds it back.
    default-server check inter 1s fall 2 rise 1 observe layer4 error-limit 1 on-error mark-down
%(servers)s"""


def haproxy_conf(balancing: Balancing) -> str:
    """Write the configuration. `path` is not used: whatever the nodes serve is balanced alike."""
    count = len(balancing.nodes)
    facts = {
        "nodes": f"{count} zmqio node{'s' if count > 1 else ''}",
        "mode": balancing.mode,
        "connections": CONNECTIONS_A_CLIENT * balancing.clients,
        "ping_interval": balancing.engine.ping_interval_s,
        "ping_timeout": balancing.engine.ping_timeout_s,
        "silence": balancing.silence_s,
        "listen": balancing.listen if ":" in balancing.listen else f"*:{balancing.listen}",
        "choice": CHOICES[balancing.mode] % {"rules": _rules(balancing)},
        "servers": _servers(balancing),
    }
    return CONFIGURATION % facts


def _rules(balancing: Balancing) -> str:
    nodes = enumerate(balancing.nodes, start=1)
    return "".join(
        f"    use-server node{number} if {{ url_param(sid) -m beg -- {node.tag} }}\n" for number, node in nodes
    )


def _servers(balancing: Balancing) -> str:
    nodes = enumerate(balancing.nodes, start=1)
    return "".join(f"    server node{number} {node.address}\n" for number, node in nodes)
