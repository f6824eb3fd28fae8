/* The load generator: up to 20,000 Socket.IO clients in one thread, commanded line by line.
 *
 * `load PORT LIMIT_S`. Commands come on standard input, each is answered with one line of JSON; a command that is not done
 * after LIMIT_S seconds, and anything that a server does wrong, ends the program with `{"error": ...}`. The first
 * client has to be a WebSocket: it gives the orders to the server. Between commands pings are answered.
 *
 *   connect websocket|polling COUNT CONCURRENCY    connect and join
 *   port PORT                                      who connects from now on does it there
 *   fanout BROADCASTS SIZE BATCH WINDOW            broadcasts in orders of BATCH, at most WINDOW orders at a time;
 *                                                  with BATCH > 1 frames are read every 10 ms
 *   paced BROADCASTS SIZE INTERVAL_US              one broadcast each interval; latency from when it was due
 *   roundtrip COUNT                                one client, one acknowledged event after the other
 *   call EVENT BROADCASTS SIZE                     an event that is acknowledged, and makes that many broadcasts
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 20000, MAX_READY = 512, MAX_LINE = 256, NAP_NS = 10000000 };
static const uint64_t SECOND_NS = 1000000000u;

static struct client clients[MAX_CLIENTS];
static int client_count, port, epoll;
static uint64_t limit_ns, began_ns, cpu_began_ns;
static unsigned next_ack = 1;
static char line[MAX_LINE];
static size_t line_size;

static uint64_t cpu_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * SECOND_NS + (uint64_t)time.tv_nsec;
}

static void read_command(void) {
    ssize_t got = read(0, line + line_size, MAX_LINE - 1 - line_size);
    if (got <= 0) exit(0); /* the harness has gone */
    line_size += (size_t)got;
    line[line_size] = 0;
}

/* Wait for input and take it; `until_ns` 0 waits as long as it takes. */
static void turn(uint64_t until_ns) {
    struct epoll_event ready[MAX_READY];
    struct timespec wait, *limit = NULL;
    if (until_ns != 0) {
        uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
        wait.tv_sec = (time_t)(left / SECOND_NS);
        wait.tv_nsec = (long)(left % SECOND_NS);
        limit = &wait;
    }
    int count = epoll_pwait2(epoll, ready, MAX_READY, limit, NULL);
    for (int i = 0; i < count; i++) {
        if (ready[i].data.ptr == NULL)
            read_command();
        else
            client_readable(ready[i].data.ptr);
    }
}

static void begin(void) {
    began_ns = now_ns();
    cpu_began_ns = cpu_ns();
}

static void turn_or_fail(const char *what) {
    turn(began_ns + limit_ns);
    if (now_ns() > began_ns + limit_ns)
        fail("not in time: %s (%llu deliveries, events up to %u of %u complete)", what,
             (unsigned long long)tally.deliveries, tally.complete, tally.end);
}

static void report(const char *more) {
    printf("{\"seconds\": %.6f, \"load_cpu_s\": %.6f, \"deliveries\": %llu%s}\n",
           (double)(now_ns() - began_ns) / 1e9, (double)(cpu_ns() - cpu_began_ns) / 1e9,
           (unsigned long long)tally.deliveries, more);
    fflush(stdout);
}

static void expect(uint32_t broadcasts, uint32_t size) {
    if (broadcasts > MAX_BROADCASTS) fail("at most %d broadcasts", MAX_BROADCASTS);
    if (size != tally.expected.size) event_make(&tally.expected, size);
    memset(tally.received, 0, sizeof tally.received);
    memset(tally.due_ns, 0, sizeof tally.due_ns);
    tally.first = tally.complete = tally.end;
    tally.end += broadcasts;
    tally.deliveries = 0;
}

static void order(uint32_t broadcasts, uint32_t first) {
    char text[128];
    snprintf(text, sizeof text, "42[\"go\",%u,%zu,%u]", broadcasts, tally.expected.size, first);
    client_send(&clients[0], text);
}

static void add_client(enum kind kind) {
    if (client_count == MAX_CLIENTS) fail("at most %d clients", MAX_CLIENTS);
    struct client *client = &clients[client_count++];
    client_start(client, kind, port);
    struct epoll_event add = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &add) != 0) fail("epoll: %s", strerror(errno));
}

static void command_connect(enum kind kind, int count, int concurrency) {
    int target = client_count + count;
    begin();
    tally.deliveries = 0;
    while (tally.joined < target) {
        while (client_count < target && client_count - tally.joined < concurrency) add_client(kind);
        turn_or_fail("connect");
    }
    report("");
}

/* Read each client's frames a few at a time. One recv() for each would cost as much as the floor's send(). */
static void nap(void) {
    struct timespec time = {.tv_nsec = NAP_NS};
    nanosleep(&time, NULL);
}

static void command_fanout(uint32_t broadcasts, uint32_t size, uint32_t batch, uint32_t window) {
    expect(broadcasts, size);
    begin();
    for (uint32_t sent = tally.first; tally.complete < tally.end;) {
        while (sent < tally.end && sent < tally.complete + batch * window) {
            uint32_t count = tally.end - sent < batch ? tally.end - sent : batch;
            order(count, sent);
            sent += count;
        }
        turn_or_fail("fanout");
        if (batch > 1) nap();
    }
    report("");
}

static int ascending(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report_latencies(uint32_t *values, size_t count) {
    char more[160];
    qsort(values, count, sizeof *values, ascending);
    snprintf(more, sizeof more, ", \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u", values[count / 2],
             values[count * 99 / 100], values[count - 1]);
    report(more);
    free(values);
}

static void command_paced(uint32_t broadcasts, uint32_t size, uint32_t interval_us) {
    expect(broadcasts, size);
    size_t count = (size_t)broadcasts * (size_t)tally.joined;
    uint32_t *latencies = tally.latency_us = calloc(count, sizeof *latencies);
    begin();
    for (uint32_t sent = 0; tally.complete < tally.end;) {
        uint64_t due = began_ns + (uint64_t)(sent + 1) * interval_us * 1000;
        if (sent < broadcasts && now_ns() >= due) {
            tally.due_ns[sent] = due;
            order(1, tally.first + sent++);
        } else if (sent < broadcasts) {
            turn(due);
        } else {
            turn_or_fail("paced");
        }
    }
    report_latencies(latencies, count);
}

static void command_roundtrip(uint32_t count) {
    uint32_t *latencies = calloc(count, sizeof *latencies);
    tally.deliveries = 0;
    begin();
    for (uint32_t i = 0; i < count; i++) {
        char question[64], answer[64];
        snprintf(question, sizeof question, "42%u[\"echo\",\"%08u\"]", next_ack, i);
        snprintf(answer, sizeof answer, "43%u[\"%08u\"]", next_ack++, i);
        tally.ack[0] = 0;
        uint64_t sent_ns = now_ns();
        client_send(&clients[0], question);
        while (tally.ack[0] == 0) turn_or_fail("roundtrip");
        latencies[i] = (uint32_t)((now_ns() - sent_ns) / 1000);
        if (strcmp(tally.ack, answer) != 0) fail("answer %s expected, not %s", answer, tally.ack);
    }
    report_latencies(latencies, count);
}

static void command_call(const char *event, uint32_t broadcasts, uint32_t size) {
    char text[160], more[sizeof tally.ack + 16];
    expect(broadcasts, size);
    tally.ack[0] = 0;
    begin();
    snprintf(text, sizeof text, "42%u[\"%s\",%u,%u,%u]", next_ack++, event, broadcasts, size, tally.first);
    client_send(&clients[0], text);
    while (tally.ack[0] == 0 || tally.complete < tally.end) turn_or_fail(event);
    snprintf(more, sizeof more, ", \"ack\": %s", strchr(tally.ack, '['));
    report(more);
}

static void run(const char *command) {
    char word[32];
    unsigned a, b, c, d;
    if (sscanf(command, "connect %31s %u %u", word, &a, &b) == 3)
        command_connect(strcmp(word, "polling") == 0 ? POLLING : WEBSOCKET, (int)a, (int)b);
    else if (sscanf(command, "port %u", &a) == 1) {
        port = (int)a;
        begin();
        report("");
    } else if (sscanf(command, "fanout %u %u %u %u", &a, &b, &c, &d) == 4)
        command_fanout(a, b, c, d);
    else if (sscanf(command, "paced %u %u %u", &a, &b, &c) == 3)
        command_paced(a, b, c);
    else if (sscanf(command, "roundtrip %u", &a) == 1)
        command_roundtrip(a);
    else if (sscanf(command, "call %31s %u %u", word, &a, &b) == 3)
        command_call(word, a, b);
    else
        fail("unknown command %s", command);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    port = atoi(arguments[1]);
    limit_ns = (uint64_t)atoi(arguments[2]) * SECOND_NS;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event add = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &add);
    for (;;) {
        char *end = memchr(line, '\n', line_size);
        if (end == NULL) {
            turn(0);
            continue;
        }
        *end = 0;
        run(line);
        line_size = 0; /* the harness sends one command at a time */
    }
}
