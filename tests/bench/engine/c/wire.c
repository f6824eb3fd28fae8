#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static const char EVENT_HEAD[] = "42[\"m\",\"";
static const char EVENT_TAIL[] = "\"]";

void fail(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 32) *c = '\'';
    printf("{\"error\": \"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

void event_make(struct event *event, size_t size) {
    size_t head = sizeof EVENT_HEAD - 1, tail = sizeof EVENT_TAIL - 1;
    if (size < head + SEQUENCE_DIGITS + tail || size > MAX_EVENT_BYTES) fail("event of %zu bytes", size);
    char payload[MAX_EVENT_BYTES];
    memset(payload, 'x', size);
    memcpy(payload, EVENT_HEAD, head);
    memset(payload + head, '0', SEQUENCE_DIGITS);
    memcpy(payload + size - tail, EVENT_TAIL, tail);
    event->size = size;
    event->frame_size = frame_write(event->frame, 1, payload, size, 0);
    event->text = event->frame + event->frame_size - size;
    event->sequence = 0;
}

void event_number(struct event *event, uint32_t sequence) {
    if (event->sequence == sequence) return;
    event->sequence = sequence;
    char *digit = event->text + sizeof EVENT_HEAD - 1 + SEQUENCE_DIGITS;
    for (int i = 0; i < SEQUENCE_DIGITS; i++, sequence /= 10) *--digit = (char)('0' + sequence % 10);
}

struct frame frame_read(char *data, size_t size) {
    struct frame frame = {0};
    unsigned char *bytes = (unsigned char *)data;
    if (size < 2) return frame;
    size_t head = 2, length = bytes[1] & 127;
    int masked = bytes[1] >> 7;
    if (length == 126) {
        if (size < 4) return frame;
        length = (size_t)bytes[2] << 8 | bytes[3];
        head = 4;
    } else if (length == 127) {
        if (size < 10) return frame;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | bytes[i];
        head = 10;
    }
    if (size < head + 4 * masked + length) return frame;
    frame.opcode = bytes[0] & 15;
    frame.fin = bytes[0] >> 7;
    frame.payload = data + head + 4 * masked;
    frame.size = length;
    frame.total = head + 4 * masked + length;
    if (masked)
        for (size_t i = 0; i < length; i++) frame.payload[i] ^= data[head + i % 4];
    return frame;
}

size_t frame_write(char *out, int opcode, const char *payload, size_t size, int masked) {
    size_t at = 0;
    char mask_bit = masked ? (char)128 : 0;
    out[at++] = (char)(128 | opcode);
    if (size < 126) {
        out[at++] = (char)(mask_bit | (char)size);
    } else if (size < 1 << 16) {
        out[at++] = mask_bit | 126;
        out[at++] = (char)(size >> 8);
        out[at++] = (char)size;
    } else {
        out[at++] = mask_bit | 127;
        for (int shift = 56; shift >= 0; shift -= 8) out[at++] = (char)(size >> shift);
    }
    if (masked) {
        memset(out + at, 0, 4); /* a mask of zeros is a mask: the server has its work with it all the same */
        at += 4;
    }
    memcpy(out + at, payload, size);
    return at + size;
}

static const char *header(const struct response *response, const char *name) {
    size_t length = strlen(name);
    const char *end = response->head + response->head_size;
    for (const char *line = response->head; line < end; line++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (line == NULL) return NULL;
        if ((size_t)(end - line) > length && strncasecmp(line + 1, name, length) == 0) return line + 1 + length;
    }
    return NULL;
}

/* Join the chunks in place (they only move down); returns 0 while the last one is missing. */
static int join_chunks(struct response *response, char *end) {
    char *from = response->body, *joined = response->body;
    struct { char *to; char *from; size_t size; } chunks[64];
    int count = 0;
    for (;;) {
        char *line_end = memmem(from, (size_t)(end - from), "\r\n", 2);
        if (line_end == NULL) return 0;
        size_t size = strtoul(from, NULL, 16);
        char *data = line_end + 2;
        if ((size_t)(end - data) < size + 2) return 0;
        if (size == 0) {
            response->total = (size_t)(data + 2 - response->head);
            break;
        }
        if (count == 64) fail("a response of more than 64 chunks");
        chunks[count].to = joined;
        chunks[count].from = data;
        chunks[count++].size = size;
        joined += size;
        from = data + size + 2;
    }
    for (int i = 0; i < count; i++) memmove(chunks[i].to, chunks[i].from, chunks[i].size);
    response->size = (size_t)(joined - response->body);
    return 1;
}

struct response response_read(char *data, size_t size) {
    struct response response = {0};
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL) return response;
    if (size < 12 || memcmp(data, "HTTP/1.1 ", 9) != 0) fail("no HTTP response: %.*s", (int)size, data);
    response.head = data;
    response.head_size = (size_t)(end + 2 - data);
    response.body = end + 4;
    response.status = atoi(data + 9);
    const char *length = header(&response, "content-length:");
    if (length != NULL) {
        response.size = strtoul(length, NULL, 10);
        if ((size_t)(data + size - response.body) >= response.size)
            response.total = (size_t)(response.body - data) + response.size;
    } else if (response.status == 101) {
        response.total = (size_t)(response.body - data);
    } else if (header(&response, "transfer-encoding: chunked") != NULL) {
        join_chunks(&response, data + size);
    } else {
        fail("a response without a length: %.*s", (int)response.head_size, data);
    }
    return response;
}

void wire_tune(int fd) {
    int on = 1;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int wire_listen(int port) {
    struct sockaddr_in address = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 2048) != 0)
        fail("listen: %s", strerror(errno));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

int wire_connect(int port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket: %s (RLIMIT_NOFILE)", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect: %s", strerror(errno));
    wire_tune(fd);
    return fd;
}
