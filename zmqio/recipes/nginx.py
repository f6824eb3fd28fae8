"""A complete, commented nginx configuration for a `Balancing`. Pure: a value in, text out.

Source: https://nginx.org/en/docs/ (ngx_http_upstream_module, ngx_http_proxy_module, "WebSocket proxying")
"""

import re

from zmqio.exceptions import ConfigError
from zmqio.recipes.balancing import Balancing, Mode

__all__ = ["nginx_conf"]

CONNECTIONS_A_CLIENT = 2
SPARE_FILES = 1_000
_FOLDER_SHAPE = re.compile(r"[^\"\\$\n]+")

CHOICES: dict[Mode, str] = {
    "address": """\
        # The same client address, the same node. Everybody behind one address (an office, another proxy) is on one
        # node. ip_hash looks at the first three numbers of an IPv4 address; this one looks at all of it:
        # hash $remote_addr consistent;
        ip_hash;
""",
    "tag": """\
        # New sessions go to one node after the other.
""",
    "round-robin": """\
        # One after the other, whoever asks. No session sticks to anything: a node that gets a request of a session
        # that is not its own forwards it to the owner, over the broker. Every node needs `adapter=` for that.
""",
}

# By address, one broken connection is no reason to move all clients of a node to others; else nobody is moved.
FAILURES: dict[Mode, int] = {"address": 2, "tag": 1, "round-robin": 1}

HEAD = """\
# nginx in front of %(nodes)s for Socket.IO. Made by `zmqio nginx-conf`, mode `%(mode)s`.
#
# It is complete: `nginx -c THIS_FILE` runs it. For an nginx that runs already, take what is inside `http { }` and
# compare the numbers above it.

# One worker process for each core; proxying costs far less CPU than the nodes do.
worker_processes auto;

# Open files of one worker process: every connection is one, and logs and listeners are some more.
worker_rlimit_nofile %(files)d;

# After a reload the old worker processes stay until their last WebSocket has ended. To end them sooner:
# worker_shutdown_timeout 10m;
%(main_paths)s
events {
    # Every proxied client costs two connections: its own, and one to a node; a polling client that sends while it
    # waits costs four. The number is for one worker process: %(clients)d WebSocket clients fit into a single one.
    # To one node there can be about 28,000 connections from here (net.ipv4.ip_local_port_range).
    worker_connections %(connections)d;
}

http {
%(http_paths)s"""

UPSTREAM = """\
    upstream zmqio {
        # Shared by all worker processes: who is busy, who is down.
        zone zmqio 256k;
%(choice)s        # max_fails: so many failures within 5 s, and the node is left out for 5 s.
%(servers)s
        # Idle connections to nodes that a worker process keeps. They end here before a node ends them (uvicorn:
        # --timeout-keep-alive 5), or a POST could be sent into a connection that is just being closed.
        keepalive 64;
        keepalive_timeout 4s;
    }
"""

SERVER = """\
        server %(address)s max_fails=%(failures)d fail_timeout=5s;
"""

TAG_MAP = """\
    # A session id begins with the 4 characters of its node's tag: `node_tag=` of zmqio.Server, or ZMQIO_NODE_TAG.
    map $arg_sid $zmqio_node {
        default zmqio;  # no session yet
%(lines)s    }
"""

TAGGED = """\
    upstream zmqio_%(number)d {  # node tag %(tag)s
        server %(address)s;
        keepalive 64;
        keepalive_timeout 4s;
    }
"""

REST = """\
    # A WebSocket's opening request keeps its two headers; any other leaves the connection to the node open.
    map $http_upgrade $connection_upgrade {
        default upgrade;
        ''      '';
    }

    server {
        # Everybody may come back at the same moment: a longer queue than the usual 511.
        listen %(listen)s backlog=4096;
        # With TLS (the browser then uses wss:// by itself):
        # listen 443 ssl;
        # ssl_certificate     /etc/ssl/chat.pem;
        # ssl_certificate_key /etc/ssl/chat.key;

        # Behind another proxy that you trust, clients have the addresses that it tells:
        # set_real_ip_from 10.0.0.0/8;
        # real_ip_header X-Forwarded-For;

        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        # With its port: a node compares it with the Origin of a browser (cors_allowed_origins).
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;

        # Longest silence. A node sends a ping every %(ping_interval)g s, into a WebSocket and into a waiting poll,
        # and waits %(ping_timeout)g s for the answer; it has to be the one that ends a dead connection.
        proxy_read_timeout %(silence)ds;
        proxy_send_timeout %(silence)ds;
        send_timeout %(silence)ds;
        # Longer than a ping interval: the connection of a living client is not closed between two of its requests.
        keepalive_timeout %(silence)ds;

        # `max_payload_bytes` of the nodes. A body is read whole before a node sees it, and stays in memory.
        client_max_body_size %(max_payload)d;
        client_body_buffer_size %(max_payload)d;

        # What a node writes goes out at once.
        proxy_buffering off;

        proxy_connect_timeout 3s;
%(failover)s
        location %(path)s/ {
            proxy_pass http://%(target)s;
            # Every poll would be a line, and its URL has the session id in it.
            access_log off;
        }

        # Whatever else the nodes serve.
        location / {
            proxy_pass http://zmqio;
            proxy_buffering on;
        }
    }
}
"""

REPEAT = """\
        # If a node cannot be reached, the request goes to another one. A POST that has been sent is never repeated
        # (that takes `non_idempotent`), nor anything whose answer is late (`timeout`): messages would come twice.
        proxy_next_upstream error;
"""

REPEAT_UNSENT = """\
        # A request that could not be sent, because there was no connection, goes to another node. What was sent is
        # not repeated: a message would come twice; and the answer to a poll may have been lost with the node that
        # passed it on, so that the next answer would hide a hole. After a 502 the client reconnects.
        proxy_next_upstream off;
        error_page 502 504 = @unsent;
        location @unsent {
            if ($upstream_bytes_sent != 0) {
                return 502;
            }
            proxy_pass http://zmqio;
            access_log off;
        }
"""

MAIN_PATHS = """
# All that nginx writes is in one folder, so that it needs no root: `nginx -e stderr -c THIS_FILE`.
pid "%(folder)s/nginx.pid";
error_log stderr;
"""

HTTP_PATHS = """\
    access_log "%(folder)s/access.log";
    client_body_temp_path "%(folder)s/client_body";
    proxy_temp_path "%(folder)s/proxy";
    fastcgi_temp_path "%(folder)s/fastcgi";
    uwsgi_temp_path "%(folder)s/uwsgi";
    scgi_temp_path "%(folder)s/scgi";

"""


def nginx_conf(balancing: Balancing, run_dir: str | None = None) -> str:
    """Write the configuration.

    Args:
        balancing: what it is for.
        run_dir: a folder for all that nginx writes; left out, nginx uses the places it was built with.

    Raises:
        ConfigError: `run_dir` cannot be written in a configuration.
    """
    if run_dir is not None and not _FOLDER_SHAPE.fullmatch(run_dir):
        raise ConfigError(f"run_dir={run_dir!r} has a quote, backslash, dollar sign or line break in it")
    facts = _facts(balancing)
    folder = {"folder": run_dir}
    facts["main_paths"] = MAIN_PATHS % folder if run_dir else ""
    facts["http_paths"] = HTTP_PATHS % folder if run_dir else ""
    parts = [HEAD % facts + _upstream(balancing)]
    if balancing.mode == "tag":
        parts += [_tagged(balancing), _tag_map(balancing)]
    return "\n".join([*parts, REST % facts])


def _facts(balancing: Balancing) -> dict[str, object]:
    connections = CONNECTIONS_A_CLIENT * balancing.clients
    count = len(balancing.nodes)
    return {
        "nodes": f"{count} zmqio node{'s' if count > 1 else ''}",
        "mode": balancing.mode,
        "files": connections + SPARE_FILES,
        "clients": balancing.clients,
        "connections": connections,
        "listen": balancing.listen,
        "path": balancing.path,
        "target": "$zmqio_node" if balancing.mode == "tag" else "zmqio",
        "max_payload": balancing.engine.max_payload_bytes,
        "ping_interval": balancing.engine.ping_interval_s,
        "ping_timeout": balancing.engine.ping_timeout_s,
        "silence": balancing.silence_s,
        "failover": REPEAT_UNSENT if balancing.mode == "round-robin" else REPEAT,
    }


def _upstream(balancing: Balancing) -> str:
    failures = FAILURES[balancing.mode]
    servers = "".join(SERVER % {"address": node.address, "failures": failures} for node in balancing.nodes)
    return UPSTREAM % {"choice": CHOICES[balancing.mode], "servers": servers}


def _tagged(balancing: Balancing) -> str:
    """An upstream for each node, by number: nginx does not tell `Abcd` from `abcD` in their names."""
    nodes = enumerate(balancing.nodes, start=1)
    return "\n".join(
        TAGGED % {"number": number, "tag": node.tag, "address": node.address} for number, node in nodes
    )


def _tag_map(balancing: Balancing) -> str:
    nodes = enumerate(balancing.nodes, start=1)
    return TAG_MAP % {"lines": "".join(f'        "~^{node.tag}" zmqio_{number};\n' for number, node in nodes)}
