"""The counters of a node as metrics: their names for Prometheus and their descriptions.

The descriptions are the first sentences of docs/reference/events.md; `python -m tests.support.counter_table`
copies them. A test compares the names with the page, and the page with the code. A counter that is listed here is
exposed from the start, as 0: Prometheus needs the value before the first increase.
"""

from collections.abc import Mapping

__all__ = ["COUNTERS", "MICROSECONDS", "counter_name"]

MICROSECONDS = "_microseconds"
"""Suffix of the counters of time, which are exposed in seconds."""

COUNTERS: Mapping[str, Mapping[str, str]] = {
    "server": {
        "auths_refused": "Joins with an auth payload over max_auth_bytes.",
        "broadcasts_delivered": (
            "Packets for several clients (or one room) that this node wrote to its own clients."
        ),
        "bytes_received": "Size of the messages received from clients.",
        "bytes_sent": "Size of the events sent to clients, once per client.",
        "connect_handlers_failed": (
            "Exceptions raised by middleware or connect handlers, other than ConnectRefused."
        ),
        "connect_handlers_timed_out": (
            "Rules, middleware and connect handlers that were cancelled because of connect_handler_timeout_s."
        ),
        "connects_failed": (
            "Clients that could not enter a namespace because of an unexpected error; see connect_failed."
        ),
        "events_dropped": (
            "Large events dropped because their client disconnected before a handler received them."
        ),
        "events_mismatched": "Events dropped because their number of arguments does not fit their handler.",
        "events_received": "Events received from clients.",
        "events_rejected": "Events that middleware of a socket rejected.",
        "events_sent": "Events sent to clients of this node, one per client.",
        "events_unhandled": "Events of clients that have no handler.",
        "handler_microseconds": (
            "Time from the start to the end of handlers of clients' events, including what they await."
        ),
        "handlers_failed": "Exceptions raised by handlers and listeners of clients' events.",
        "handlers_run": "Handlers of clients' events that have ended.",
        "loop_lag_checks": "Measurements of the lag of the event loop, one per second.",
        "loop_lag_microseconds": "Time by which these measurements were late.",
        "namespaces_refused": "Attempts to join more namespaces than max_namespaces_per_client.",
        "packets_malformed": "Messages that are not Socket.IO packets.",
        "packets_recovered": "Events sent again to clients that were recovered.",
        "packets_unexpected": "Packets that the protocol does not allow in the client's state.",
        "pending_events_too_large": (
            "Times that the server stopped reading from a client because of max_pending_event_bytes."
        ),
        "recovery_gaps": (
            "Clients that were recovered and may have missed events of some nodes; see recovery_gap_detected."
        ),
        "recovery_offsets_unknown": (
            "Clients that were not recovered because the offset that they sent is unknown."
        ),
        "recovery_packets_dropped": (
            "Clients that were not recovered because they missed packets that are no longer kept."
        ),
        "recovery_sessions_unknown": (
            "Clients that were not recovered because their session is unknown, or its time is over."
        ),
        "session_copies_received": (
            "Messages with copies of sessions that this node continues if their node dies."
        ),
        "sessions_adopted": "Sessions that this node continues because their node stopped or died.",
        "sessions_recovered": (
            "Clients that returned to their session and have its id, rooms, data and missed events."
        ),
        "sessions_suspended": "Sessions that were kept for clients that lost their connection.",
        "suspended_sessions_dropped": (
            "Sessions of disconnected clients that were dropped because of max_sessions or max_session_bytes."
        ),
        "suspended_sessions_expired": "Sessions whose clients did not return within max_disconnection_s.",
    },
    "engine": {
        "bodies_displaced": "Incomplete bodies of POSTs that ended because all together took more than 64 MiB.",
        "bodies_timed_out": "Bodies of POSTs that took longer than body_timeout_s allows.",
        "clients_dropped": "Clients disconnected because they read too slowly.",
        "messages_failed": "Messages of clients whose handling failed outside the application's handlers.",
        "origins_refused": "Requests from origins that cors_allowed_origins does not allow.",
        "packets_malformed": "Engine.IO packets that could not be decoded, and invalid WebSocket frames.",
        "packets_rejected": "Messages above max_payload_bytes over a WebSocket.",
        "sessions_closed": "Sessions that have ended.",
        "sessions_expired": "Sessions closed because their client sent nothing within first_packet_timeout_s.",
        "sessions_opened": "Sessions that have begun.",
        "sessions_refused": (
            "Handshakes refused because of max_sessions, max_sessions_per_address, max_handshake_bytes "
            "or 100 headers."
        ),
        "sessions_unknown": "Requests for a session that no live node knows.",
        "sessions_upgraded": "Sessions that began with long-polling and continued over a WebSocket.",
        "volatile_client_messages_dropped": "Volatile messages dropped because a client was not ready for them.",
    },
    "relay": {
        "bodies_displaced": (
            "Incomplete bodies of POSTs for sessions of other nodes that ended because all together "
            "took more than 64 MiB."
        ),
        "bodies_timed_out": (
            "Bodies of POSTs for sessions of other nodes that took longer than body_timeout_s allows."
        ),
        "packets_rejected": "Messages above max_payload_bytes over a forwarded WebSocket.",
        "polls_cancelled": "Forwarded polling requests whose client disconnected before the response.",
        "polls_forwarded": "Polling requests that this node forwarded to the session's owner.",
        "polls_served": "Polling requests that this node served for other nodes.",
        "requests_failed": "Forwarded requests that ended with an unexpected error here.",
        "responses_returned": (
            "Responses put back into their session because the other node stopped before it could write them."
        ),
        "websockets_forwarded": "WebSockets that this node forwarded to the session's owner.",
        "websockets_served": "WebSockets that this node served for other nodes.",
    },
    "bus": {
        "barrier_microseconds": "Time until brokers had applied new subscriptions, which joins wait for.",
        "barriers_passed": "Groups of new subscriptions that brokers have applied.",
        "broadcasts_refused": "Broadcasts that reached local clients only, because the replay buffer was full.",
        "broker_losses": "Times that the connection to a broker was lost.",
        "bus_barrier_timeouts": (
            "Joins for which a broker did not acknowledge the subscription within barrier_timeout_s."
        ),
        "bus_gap_messages": "Messages of other nodes that are lost for good, as far as their number is known.",
        "bus_gaps": "Times that a loss was reported (bus_gap_detected).",
        "bus_message_failed": "Messages whose handling failed.",
        "bus_message_malformed": "Messages that could not be decoded.",
        "bus_queue_overflows": "Times that the queue to a broker became full.",
        "bus_slow_consumers": "Times that a NATS server closed the connection because this node read too slowly.",
        "bus_topology_changes": "Changes of the NATS cluster: servers or routes between them were lost or made.",
        "bytes_published": "Size of the published messages.",
        "bytes_received": "Size of the messages received from other nodes and outside publishers.",
        "deferred_messages": (
            "Messages that came through a link which may have missed some; another link or a replay "
            "delivers them in order."
        ),
        "duplicate_messages": "Messages that had been received before, for example through another broker.",
        "duplicate_publish_requests": "Requests of outside publishers that had been received before.",
        "goodbyes_unsent": "Goodbyes that no broker accepted.",
        "heartbeat_echo_lost": "Times that the node's heartbeats stopped coming back.",
        "heartbeat_failed": "Rounds of heartbeats that failed.",
        "heartbeats_refused": "Heartbeats of unknown nodes that were ignored because of max_nodes.",
        "heartbeats_unsent": "Heartbeats that a broker did not accept.",
        "link_doubts": "Times that a NATS cluster has changed, so that messages may be missing.",
        "link_gaps": "Times that messages were found to be missing on a link.",
        "link_overruns": "Times that messages arrived so fast that the broker may have dropped some.",
        "link_sends_failed": "Messages that a link failed to send because of an unexpected error.",
        "message_queued": "Messages kept because no broker was connected.",
        "message_topic_mismatched": "Messages whose topic does not match their namespace and rooms.",
        "messages_published": "Numbered messages given to the bus.",
        "messages_received": "Messages received from other nodes and outside publishers, including heartbeats.",
        "messages_unsent": "Answers to zmqio top and zmqio status that no broker accepted.",
        "nodes_died": "Nodes that died or fell silent without a goodbye.",
        "packet_format_mismatched": "Nodes that joined although their parser writes another format.",
        "publish_failed": "Messages that could not be published.",
        "publish_request_rejected": "Invalid requests of outside publishers.",
        "replay_answers_unsent": "Answers to replay requests that no broker accepted.",
        "replay_checks_sent": (
            "Requests for the newest numbers, to find messages that a broker dropped for a node that "
            "reads too slowly."
        ),
        "replay_failed": "Rounds of replay that failed.",
        "replay_requests_sent": "Requests for missed messages.",
        "replay_requests_unsent": "Requests for missed messages that no broker accepted.",
        "replayed_messages": "Missed messages that a replay has delivered.",
        "replayed_messages_sent": "Messages that this node sent again to other nodes.",
        "replays_delayed": "Requests for missed messages that are answered later.",
        "replays_refused": "Requests for missed messages that were dropped, because too many wait.",
        "responses_unsent": "Responses to other nodes that could not be sent.",
        "session_copies_failed": "Rounds of copying sessions to the next node that failed.",
        "session_handover_failed": "Handovers of sessions at the stop of this node that failed.",
        "session_move_refused": (
            "Sessions that did not move to another node because they are too large for one message."
        ),
        "socket_description_truncated": (
            "Sockets that fetch_sockets reported without all of their data, because these could not be sent."
        ),
        "tag_clashes": "Times that this node left the bus because its tag was taken.",
        "tasks_failed": "Background tasks of the node that failed.",
        "unsent_messages_dropped": "Times that the node stopped while messages were still waiting for a broker.",
        "unsent_messages_expired": "Times that messages waiting for a broker became too old.",
        "version_mismatches": "Messages of nodes with another version of the wire protocol.",
        "volatile_bus_messages_dropped": "Volatile messages dropped because no broker accepted them.",
    },
    "http": {
        "answers_unread": "Connections dropped because their client read nothing of an answer.",
        "heads_timed_out": "Connections closed because their request head took too long.",
        "heads_too_large": "Connections closed because their request head was too large, or had too many fields.",
        "requests_malformed": "Connections closed because of a request that is not valid HTTP/1.1.",
    },
}
"""Part -> counter -> description."""


def counter_name(part: str, counter: str) -> str:
    """The metric of a counter, without the suffix `_total`: `zmqio_bus_gaps` for `bus_gaps` of the bus.

    Prometheus counts time in seconds: `handler_microseconds` of the server is `zmqio_server_handler_seconds`.
    """
    name = counter.removeprefix(part + "_").replace(MICROSECONDS, "_seconds")
    return f"zmqio_{part}_{name}"
