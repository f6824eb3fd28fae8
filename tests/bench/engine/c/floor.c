/* The floor: what a broadcast costs if nothing but send() is done for each recipient.
 *
 * `floor PORT`. Speaks just enough WebSocket, Engine.IO and Socket.IO for the load generator: the handshake, CONNECT,
 * `go` (count, size, first sequence number), and `echo` with an acknowledgement. A broadcast is one event framed
 * once, and one send() to each client.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CLIENTS = 20000, MAX_INPUT = 4096, MAX_EVENTS = 256 };

static const char SWITCH[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: " WS_ACCEPT "\r\n\r\n";
static const char OPEN[] = "0{\"sid\":\"floor\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
                           "\"maxPayload\":1000000}";

static int members[MAX_CLIENTS]; /* descriptors of those that joined */
static int member_count;
static char upgraded[MAX_CLIENTS * 2];
static struct event event;

static void send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, 10000);
            continue;
        }
        if (sent < 0) return;
        data += sent;
        size -= (size_t)sent;
    }
}

static void send_text(int fd, const char *text) {
    char frame[MAX_INPUT + 14];
    send_all(fd, frame, frame_write(frame, 1, text, strlen(text), 0));
}

static void broadcast(unsigned count, unsigned size, unsigned first) {
    if (event.size != size) event_make(&event, size);
    for (unsigned i = 0; i < count; i++) {
        event_number(&event, first + i);
        for (int m = 0; m < member_count; m++) send_all(members[m], event.frame, event.frame_size);
    }
}

static void take_text(int fd, char *text) {
    unsigned count, size, first;
    if (strcmp(text, "40") == 0) {
        send_text(fd, "40{\"sid\":\"floor\"}");
        members[member_count++] = fd;
    } else if (sscanf(text, "42[\"go\",%u,%u,%u]", &count, &size, &first) == 3) {
        broadcast(count, size, first);
    } else if (strstr(text, "[\"echo\",") != NULL) {
        char answer[MAX_INPUT];
        unsigned id = (unsigned)strtoul(text + 2, NULL, 10);
        snprintf(answer, sizeof answer, "43%u[%s", id, strchr(text, ',') + 1);
        send_text(fd, answer);
    }
}

static void leave(int fd) {
    for (int m = 0; m < member_count; m++)
        if (members[m] == fd) members[m] = members[--member_count];
    close(fd);
}

/* The load generator waits for each answer, so a request or frame is never split over two reads. */
static void take_input(int fd) {
    char input[MAX_INPUT + 1];
    ssize_t size = recv(fd, input, MAX_INPUT, 0);
    if (size <= 0) {
        leave(fd);
        return;
    }
    if (!upgraded[fd]) {
        upgraded[fd] = 1;
        send_all(fd, SWITCH, sizeof SWITCH - 1);
        send_text(fd, OPEN);
        return;
    }
    for (size_t at = 0; at < (size_t)size;) {
        struct frame frame = frame_read(input + at, (size_t)size - at);
        if (frame.total == 0) fail("floor: half a frame");
        at += frame.total;
        char text[MAX_INPUT];
        memcpy(text, frame.payload, frame.size);
        text[frame.size] = 0;
        if (frame.opcode == 1) take_text(fd, text);
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    int listener = wire_listen(atoi(arguments[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event add = {.events = EPOLLIN, .data.fd = listener}, events[MAX_EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &add);
    for (;;) {
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                take_input(events[i].data.fd);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            if (fd < 0) continue;
            if (fd >= MAX_CLIENTS * 2) fail("floor: too many clients");
            wire_tune(fd);
            upgraded[fd] = 0;
            add.data.fd = fd;
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &add);
        }
    }
}
