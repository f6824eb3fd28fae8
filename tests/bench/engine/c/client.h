/* One Socket.IO client of the load generator: connects, joins, answers pings, verifies every event.
 *
 * Whatever is not exactly what the server has to say ends the program with an error.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "wire.h"

enum kind { WEBSOCKET, POLLING };
enum { MAX_BROADCASTS = 100000 };

struct client {
    int fd;
    enum kind kind;
    enum { UPGRADING, OPENING, JOINING, JOINED } state;
    int posting;       /* polling: the answer to come is that of a POST */
    int pong_due;      /* polling: to be sent before the next GET */
    uint32_t next;     /* sequence number of the event that has to come next */
    char sid[64];
    char *rest;        /* what was read and is not complete yet */
    size_t rest_size;
};

/* What all clients report to. */
struct tally {
    int joined;
    struct event expected;
    uint32_t first, end;                  /* events of this command: first <= sequence < end */
    uint32_t complete;                    /* every client has those before this one */
    uint64_t deliveries;
    uint32_t received[MAX_BROADCASTS];    /* by sequence - first */
    uint64_t due_ns[MAX_BROADCASTS];      /* when it was to be sent; 0: latency is not asked for */
    uint32_t *latency_us;                 /* by delivery */
    char ack[4096];                       /* the last acknowledgement, as it came: `43<id>[...]` */
};

extern struct tally tally;

void client_start(struct client *client, enum kind kind, int port);
void client_readable(struct client *client);
void client_send(struct client *client, const char *text); /* one Engine.IO packet; WebSocket only */
uint64_t now_ns(void);

#endif
