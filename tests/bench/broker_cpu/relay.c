/* A prototype of another hub: one thread reads, matches and writes. It is not part of the product.
 *
 * Usage: relay PUBLISH_ADDRESS SUBSCRIBE_ADDRESS   (tcp://127.0.0.1:PORT)
 * Prints a line once both are bound. It speaks ZMTP 3.0 with the mechanism NULL, merges the subscriptions of all
 * subscribers, and forwards the first and the last of each topic to the publishers, as XPUB and XSUB do. Messages
 * have one frame, as all of zmqio. Memory is not bounded except for the bytes that wait for one subscriber; see
 * docs/decisions/11-hub.md for what a product would need.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 262144
#define MAX_WAITING (64u << 20)
#define MAX_TOPIC 4096
#define GREETING 64
#define COMMAND 4
#define LONG 2

enum kind { PUBLISH, SUBSCRIBE };

typedef struct {
    uint8_t *data;
    size_t start, end, size;
} Buffer;

typedef struct Peer {
    int fd, greeted, ready, dirty, blocked;
    enum kind kind;
    Buffer in, out;
    struct Peer *next, *previous, *next_dirty;
} Peer;

typedef struct Topic {
    struct Topic *next;
    uint64_t hash;
    uint32_t length, count, room;
    Peer **peers;
    uint8_t name[];
} Topic;

static Topic **table;
static size_t table_size = 1 << 16, topics;
static uint32_t topics_of_length[MAX_TOPIC + 1], longest;
static Peer *peers, *dirty;
static int poll_fd;

static void append (Buffer *buffer, const void *data, size_t bytes)
{
    if (buffer->end + bytes > buffer->size) {
        memmove (buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
        buffer->end -= buffer->start;
        buffer->start = 0;
        while (buffer->end + bytes > buffer->size)
            buffer->size = buffer->size ? 2 * buffer->size : 4096;
        buffer->data = realloc (buffer->data, buffer->size);
    }
    memcpy (buffer->data + buffer->end, data, bytes);
    buffer->end += bytes;
}

static void want (Peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl (poll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void mark (Peer *peer)
{
    if (!peer->dirty) {
        peer->dirty = 1;
        peer->next_dirty = dirty;
        dirty = peer;
    }
}

static void frame (Peer *peer, int flags, const void *head, size_t head_bytes, const void *body, size_t bytes)
{
    size_t total = head_bytes + bytes;
    uint8_t start[9] = {(uint8_t) flags, (uint8_t) total};
    size_t start_bytes = 2;
    if (total > 255) {
        start[0] |= LONG;
        for (int i = 0; i < 8; i++)
            start[1 + i] = (uint8_t) (total >> (56 - 8 * i));
        start_bytes = 9;
    }
    append (&peer->out, start, start_bytes);
    append (&peer->out, head, head_bytes);
    append (&peer->out, body, bytes);
    mark (peer);
}

static void flush (Peer *peer)
{
    Buffer *out = &peer->out;
    while (out->end > out->start) {
        ssize_t sent = send (peer->fd, out->data + out->start, out->end - out->start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN && !peer->blocked)
                want (peer, EPOLLIN | EPOLLOUT), peer->blocked = 1;
            return;
        }
        out->start += (size_t) sent;
    }
    out->start = out->end = 0;
    if (peer->blocked)
        want (peer, EPOLLIN), peer->blocked = 0;
}

static uint64_t step (uint64_t hash, uint8_t byte) { return (hash ^ byte) * 1099511628211u; }

static uint64_t hash_of (const uint8_t *name, size_t length)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        hash = step (hash, name[i]);
    return hash;
}

static Topic **find (const uint8_t *name, size_t length, uint64_t hash)
{
    Topic **found = &table[(hash ^ hash >> 32) & (table_size - 1)];
    while (*found && ((*found)->hash != hash || (*found)->length != length || memcmp ((*found)->name, name, length)))
        found = &(*found)->next;
    return found;
}

static void grow (void)
{
    Topic **old = table;
    size_t old_size = table_size;
    table = calloc (table_size *= 2, sizeof *table);
    for (size_t i = 0; i < old_size; i++)
        for (Topic *topic = old[i], *next; topic; topic = next) {
            Topic **slot = &table[(topic->hash ^ topic->hash >> 32) & (table_size - 1)];
            next = topic->next;
            topic->next = *slot;
            *slot = topic;
        }
    free (old);
}

static void tell_publishers (uint8_t what, const uint8_t *name, size_t length)
{
    for (Peer *peer = peers; peer; peer = peer->next)
        if (peer->kind == PUBLISH && peer->ready)
            frame (peer, 0, &what, 1, name, length);
}

static void subscribe (Peer *peer, const uint8_t *name, size_t length)
{
    uint64_t hash = hash_of (name, length);
    Topic *topic = *find (name, length, hash);
    if (!topic) {
        if (++topics > table_size)
            grow ();
        topic = calloc (1, sizeof *topic + length);
        topic->hash = hash, topic->length = (uint32_t) length;
        memcpy (topic->name, name, length);
        *find (name, length, hash) = topic;
        topics_of_length[length]++;
        longest = length > longest ? (uint32_t) length : longest;
        tell_publishers (1, name, length);
    }
    if (topic->count == topic->room)
        topic->peers = realloc (topic->peers, (topic->room = topic->room ? 2 * topic->room : 1) * sizeof (Peer *));
    topic->peers[topic->count++] = peer;
}

static void unsubscribe (Peer *peer, const uint8_t *name, size_t length)
{
    Topic **slot = find (name, length, hash_of (name, length)), *topic = *slot;
    for (uint32_t i = 0; topic && i < topic->count; i++)
        if (topic->peers[i] == peer) {
            topic->peers[i] = topic->peers[--topic->count];
            break;
        }
    if (topic && !topic->count) {
        tell_publishers (0, name, length);
        *slot = topic->next;
        topics_of_length[length]--, topics--;
        free (topic->peers), free (topic);
    }
}

static void forward (const uint8_t *message, size_t length)
{
    uint64_t hash = 14695981039346656037u;
    size_t last = length < longest ? length : longest;
    for (size_t i = 0;; i++) {
        if (topics_of_length[i]) {
            Topic *topic = *find (message, i, hash);
            for (uint32_t k = 0; topic && k < topic->count; k++)
                if (topic->peers[k]->out.end - topic->peers[k]->out.start < MAX_WAITING)
                    frame (topic->peers[k], 0, "", 0, message, length);
        }
        if (i == last)
            return;
        hash = step (hash, message[i]);
    }
}

static void greet (Peer *peer)
{
    uint8_t greeting[GREETING] = {0xff, [9] = 0x7f, [10] = 3, [11] = 0, [12] = 'N', 'U', 'L', 'L'};
    static const char *types[] = {"XSUB", "XPUB"};
    uint8_t ready[] = "\x05READY\x0bSocket-Type\0\0\0\x04";
    append (&peer->out, greeting, sizeof greeting);
    frame (peer, COMMAND, ready, sizeof ready - 1, types[peer->kind], 4);
}

static void tell_all_topics (Peer *peer)
{
    for (size_t i = 0; i < table_size; i++)
        for (Topic *topic = table[i]; topic; topic = topic->next)
            frame (peer, 0, "\x01", 1, topic->name, topic->length);
}

static void command (Peer *peer, const uint8_t *body, size_t length)
{
    if (length >= 6 && !memcmp (body, "\x05READY", 6)) {
        peer->ready = 1;
        if (peer->kind == PUBLISH)
            tell_all_topics (peer);
    } else if (length >= 7 && !memcmp (body, "\x04PING", 5)) {
        frame (peer, COMMAND, "\x04PONG", 5, body + 7, length - 7);
    }
}

static void message (Peer *peer, const uint8_t *body, size_t length)
{
    if (peer->kind == PUBLISH)
        forward (body, length);
    else if (length && length <= MAX_TOPIC)
        (body[0] == 1 ? subscribe : unsubscribe) (peer, body + 1, length - 1);
}

static void parse (Peer *peer)
{
    Buffer *in = &peer->in;
    if (!peer->greeted && in->end - in->start >= GREETING)
        in->start += GREETING, peer->greeted = 1;
    while (peer->greeted) {
        const uint8_t *data = in->data + in->start;
        size_t waiting = in->end - in->start, head = waiting && data[0] & LONG ? 9 : 2, length = 0;
        if (waiting < head)
            break;
        for (size_t i = 1; i < head; i++)
            length = length << 8 | data[i];
        if (waiting - head < length)
            break;
        (data[0] & COMMAND ? command : message) (peer, data + head, length);
        in->start += head + length;
    }
    if (in->start == in->end)
        in->start = in->end = 0;
}

static void drop (Peer *peer)
{
    for (size_t i = 0; i < table_size; i++)
        for (Topic *topic = table[i], *next; topic; topic = next) {
            next = topic->next;
            unsubscribe (peer, topic->name, topic->length);
        }
    for (Peer **each = &dirty; *each; each = &(*each)->next_dirty)
        if (*each == peer) {
            *each = peer->next_dirty;
            break;
        }
    *(peer->previous ? &peer->previous->next : &peers) = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    close (peer->fd), free (peer->in.data), free (peer->out.data), free (peer);
}

static void receive (Peer *peer)
{
    static uint8_t chunk[READ_BYTES];
    ssize_t got = recv (peer->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        drop (peer);
        return;
    }
    if (got > 0) {
        append (&peer->in, chunk, (size_t) got);
        parse (peer);
    }
}

static int listening (const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int fd = socket (AF_INET, SOCK_STREAM, 0), yes = 1;
    to.sin_port = htons ((uint16_t) atoi (strrchr (address, ':') + 1));
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind (fd, (struct sockaddr *) &to, sizeof to) || listen (fd, 128)) {
        perror (address);
        exit (1);
    }
    return fd;
}

static void accept_peer (int listener, enum kind kind)
{
    int yes = 1, fd = accept4 (listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    Peer *peer = calloc (1, sizeof *peer);
    peer->fd = fd, peer->kind = kind, peer->next = peers;
    if (peers)
        peers->previous = peer;
    peers = peer;
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    epoll_ctl (poll_fd, EPOLL_CTL_ADD, fd, &event);
    greet (peer);
}

int main (int count, char **arguments)
{
    int listeners[2];
    if (count != 3)
        return 2;
    table = calloc (table_size, sizeof *table);
    poll_fd = epoll_create1 (0);
    for (int kind = PUBLISH; kind <= SUBSCRIBE; kind++) {
        listeners[kind] = listening (arguments[1 + kind]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[kind]};
        epoll_ctl (poll_fd, EPOLL_CTL_ADD, listeners[kind], &event);
    }
    puts ("prototype");
    fflush (stdout);
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait (poll_fd, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            int *listener = events[i].data.ptr;
            if (listener >= listeners && listener < listeners + 2)
                accept_peer (*listener, listener == listeners ? PUBLISH : SUBSCRIBE);
            else if (events[i].events & EPOLLIN || events[i].events & (EPOLLERR | EPOLLHUP))
                receive (events[i].data.ptr);
            else
                flush (events[i].data.ptr);
        }
        while (dirty) {
            Peer *peer = dirty;
            dirty = peer->next_dirty;
            peer->dirty = 0;
            if (!peer->blocked)
                flush (peer);
        }
    }
}
