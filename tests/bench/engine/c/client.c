#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

enum { INPUT_BYTES = 1 << 20 };
static const char UPGRADE[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                              "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n";
static char input[INPUT_BYTES];
struct tally tally;

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void send_all(struct client *client, const char *data, size_t size) {
    if (send(client->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send: %s", strerror(errno));
}

static void send_frame(struct client *client, int opcode, const char *payload, size_t size) {
    char frame[4096 + 14];
    if (size > 4096) fail("a frame of %zu bytes", size);
    send_all(client, frame, frame_write(frame, opcode, payload, size, 1));
}

void client_send(struct client *client, const char *text) { send_frame(client, 1, text, strlen(text)); }

static void get(struct client *client) {
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                        client->sid[0] ? "&sid=" : "", client->sid);
    client->posting = 0;
    send_all(client, request, (size_t)size);
}

static void post(struct client *client, const char *packet) {
    char request[512];
    int size = snprintf(request, sizeof request,
                        "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
                        client->sid, strlen(packet), packet);
    client->posting = 1;
    send_all(client, request, (size_t)size);
}

void client_start(struct client *client, enum kind kind, int port) {
    memset(client, 0, sizeof *client);
    client->fd = wire_connect(port);
    client->kind = kind;
    client->next = tally.end;
    client->state = kind == WEBSOCKET ? UPGRADING : OPENING;
    if (kind == WEBSOCKET)
        send_all(client, UPGRADE, sizeof UPGRADE - 1);
    else
        get(client);
}

static void take_open(struct client *client, const char *text, size_t size) {
    static const char KEY[] = "\"sid\":\"";
    const char *sid = memmem(text, size, KEY, sizeof KEY - 1);
    if (client->state != OPENING || sid == NULL) fail("misplaced OPEN: %.*s", (int)size, text);
    sid += sizeof KEY - 1;
    size_t length = strcspn(sid, "\"");
    if (length >= sizeof client->sid) fail("a sid of %zu characters", length);
    memcpy(client->sid, sid, length);
    client->state = JOINING;
    if (client->kind == WEBSOCKET) client_send(client, "40");
}

static void count_event(struct client *client) {
    uint32_t sequence = client->next++, index = sequence - tally.first;
    if (tally.due_ns[index] != 0)
        tally.latency_us[tally.deliveries] = (uint32_t)((now_ns() - tally.due_ns[index]) / 1000);
    tally.deliveries++;
    if (++tally.received[index] == (uint32_t)tally.joined) tally.complete = sequence + 1;
}

static void take_event(struct client *client, const char *text, size_t size) {
    if (client->next >= tally.end) fail("an event that was not asked for: %.*s", (int)size, text);
    event_number(&tally.expected, client->next);
    if (size != tally.expected.size || memcmp(text, tally.expected.text, size) != 0)
        fail("event %u expected, not %.*s", client->next, (int)(size < 60 ? size : 60), text);
    count_event(client);
}

static void take_packet(struct client *client, const char *text, size_t size) {
    if (size > 1 && text[0] == '4' && text[1] == '2') {
        take_event(client, text, size);
    } else if (size == 1 && text[0] == '2') {
        if (client->kind == WEBSOCKET)
            client_send(client, "3");
        else
            client->pong_due = 1;
    } else if (size > 1 && text[0] == '0') {
        take_open(client, text, size);
    } else if (size > 4 && memcmp(text, "40{", 3) == 0 && client->state == JOINING) {
        client->state = JOINED;
        tally.joined++;
    } else if (size > 1 && size < sizeof tally.ack && text[0] == '4' && text[1] == '3') {
        memcpy(tally.ack, text, size);
        tally.ack[size] = 0;
    } else if (size != 1 || text[0] != '6') {
        fail("packet %.*s", (int)(size < 200 ? size : 200), text);
    }
}

static void take_frame(struct client *client, const struct frame *frame) {
    if (frame->opcode == 9)
        send_frame(client, 10, frame->payload, frame->size);
    else if (frame->opcode == 1 && frame->fin)
        take_packet(client, frame->payload, frame->size);
    else
        fail("frame with opcode %d", frame->opcode);
}

static size_t take_upgrade(struct client *client, char *data, size_t size) {
    struct response response = response_read(data, size);
    if (response.total == 0) return 0;
    if (response.status != 101 || memmem(response.head, response.head_size, WS_ACCEPT, 28) == NULL)
        fail("upgrade refused: %.*s", (int)response.head_size, response.head);
    client->state = OPENING;
    return response.total;
}

static size_t take_frames(struct client *client, char *data, size_t size) {
    size_t at = client->state == UPGRADING ? take_upgrade(client, data, size) : 0;
    if (client->state == UPGRADING) return 0;
    const struct event *expected = &tally.expected;
    while (at < size) {
        if (client->next < tally.end && size - at >= expected->frame_size) {
            event_number(&tally.expected, client->next);
            if (memcmp(data + at, expected->frame, expected->frame_size) == 0) {
                count_event(client);
                at += expected->frame_size;
                continue;
            }
        }
        struct frame frame = frame_read(data + at, size - at);
        if (frame.total == 0) break;
        take_frame(client, &frame);
        at += frame.total;
    }
    return at;
}

static void take_poll(struct client *client, char *body, size_t size) {
    for (char *end = body + size; body < end;) {
        char *separator = memchr(body, 0x1e, (size_t)(end - body));
        char *record_end = separator ? separator : end;
        take_packet(client, body, (size_t)(record_end - body));
        body = record_end + 1;
    }
}

static size_t take_responses(struct client *client, char *data, size_t size) {
    struct response response = response_read(data, size);
    if (response.total == 0) return 0;
    if (response.status != 200) fail("HTTP %d: %.*s", response.status, (int)response.size, response.body);
    int was_open = client->state != OPENING, was_post = client->posting;
    if (!was_post)
        take_poll(client, response.body, response.size);
    else if (response.size != 2 || strncasecmp(response.body, "ok", 2) != 0) /* python-engineio says OK */
        fail("a POST was answered with %.*s", (int)response.size, response.body);
    if (!was_open) {
        post(client, "40");
    } else if (client->pong_due) {
        client->pong_due = 0;
        post(client, "3");
    } else {
        get(client);
    }
    return response.total;
}

static void keep_rest(struct client *client, const char *data, size_t size) {
    free(client->rest);
    client->rest = NULL;
    client->rest_size = size;
    if (size == 0) return;
    client->rest = malloc(size);
    memcpy(client->rest, data, size);
}

void client_readable(struct client *client) {
    size_t size = client->rest_size;
    if (size > 0) memcpy(input, client->rest, size);
    ssize_t got = recv(client->fd, input + size, INPUT_BYTES - size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("the server closed a connection: %s", got < 0 ? strerror(errno) : "end of stream");
    size += (size_t)got;
    size_t taken = client->kind == WEBSOCKET ? take_frames(client, input, size) : take_responses(client, input, size);
    if (taken < size || client->rest_size > 0) keep_rest(client, input + taken, size - taken);
}
