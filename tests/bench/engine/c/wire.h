/* What load generator and floor server both speak: sockets, WebSocket frames (RFC 6455), HTTP responses.
 *
 * Sans-I/O except for `wire_listen` and `wire_connect`. Single-threaded.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <stdint.h>

/* Key and accept value of RFC 6455, section 1.3: fixed, so that neither side has to compute SHA-1. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum { MAX_EVENT_BYTES = 1 << 20, SEQUENCE_DIGITS = 8 };

/* One WebSocket frame inside a buffer; `total` is 0 while it is incomplete. */
struct frame {
    int opcode, fin;
    size_t total, size;
    char *payload; /* unmasked in place */
};

/* One HTTP response inside a buffer; `total` is 0 while it is incomplete. */
struct response {
    int status;
    size_t total, size;
    char *head, *body; /* a chunked body is joined in place */
    size_t head_size;
};

/* The Socket.IO event `42["m","<8 digits><x...>"]`, `size` bytes long, and its server frame. */
struct event {
    size_t size, frame_size;
    char *text;                        /* inside `frame` */
    char frame[MAX_EVENT_BYTES + 16];
    uint32_t sequence;
};

void event_make(struct event *event, size_t size);
void event_number(struct event *event, uint32_t sequence);

struct frame frame_read(char *data, size_t size);
/* Returns the bytes written to `out`, which has to have size + 14 bytes. */
size_t frame_write(char *out, int opcode, const char *payload, size_t size, int masked);
struct response response_read(char *data, size_t size);

int wire_listen(int port);
int wire_connect(int port); /* then non-blocking, TCP_NODELAY, reset on close (no TIME_WAIT) */
void wire_tune(int fd);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
