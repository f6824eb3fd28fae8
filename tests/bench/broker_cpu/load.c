/* A cheap load: one publisher at a fixed rate and N subscribers in one process.
 *
 * Usage: load PUBLISH_ADDRESS SUBSCRIBE_ADDRESS SUBSCRIBERS MESSAGES_PER_SECOND SECONDS MESSAGE_BYTES
 * Prints "ready" once every subscriber has received a message, then waits for a line on standard input. Sends, waits
 * until a second has passed without a message, and prints "<sent> <received> <p50> <p99>": the time from the call of
 * zmq_send until zmq_recv, in microseconds.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define MAX_SUBSCRIBERS 64
#define MAX_BYTES 65536
#define TICK_NS 1000000L
/* 10 ms each. */
#define MAX_ATTEMPTS 1000
#define MAX_SAMPLES 2000000

static void *subscribers[MAX_SUBSCRIBERS];
static int subscriber_count;
static volatile long received;
static long samples[MAX_SAMPLES];

static long now_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void note_message (const char *body)
{
    long sent_ns;
    memcpy (&sent_ns, body + 2, sizeof sent_ns);
    if (received < MAX_SAMPLES)
        samples[received] = now_ns () - sent_ns;
    received++;
}

static int compare (const void *one, const void *other)
{
    long difference = *(const long *) one - *(const long *) other;
    return difference < 0 ? -1 : difference > 0;
}

static void drain (void)
{
    static char body[MAX_BYTES];
    for (int i = 0; i < subscriber_count; i++)
        while (zmq_recv (subscribers[i], body, sizeof body, ZMQ_DONTWAIT) >= 0)
            if (body[1] == 'm')
                note_message (body);
}

static void *read_all (void *unused)
{
    zmq_pollitem_t items[MAX_SUBSCRIBERS];
    for (int i = 0; i < subscriber_count; i++)
        items[i] = (zmq_pollitem_t){subscribers[i], 0, ZMQ_POLLIN, 0};
    long idle_since = received;
    /* The run ends after one second without a message. */
    while (zmq_poll (items, subscriber_count, 1000) > 0 || idle_since != received) {
        idle_since = received;
        drain ();
    }
    return unused;
}

static void *connected (void *context, int type, const char *address)
{
    void *socket = zmq_socket (context, type);
    int unlimited = 0;
    zmq_setsockopt (socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt (socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt (socket, ZMQ_LINGER, &unlimited, sizeof unlimited);
    zmq_connect (socket, address);
    return socket;
}

static void wait_for_paths (void *publisher)
{
    static char body[MAX_BYTES];
    for (int i = 0; i < subscriber_count; i++) {
        zmq_pollitem_t item = {subscribers[i], 0, ZMQ_POLLIN, 0};
        int attempts = 0;
        while (zmq_poll (&item, 1, 10) == 0) {
            zmq_send (publisher, "tp", 2, 0);
            if (++attempts > MAX_ATTEMPTS)
                exit (1);
        }
        while (zmq_recv (subscribers[i], body, sizeof body, ZMQ_DONTWAIT) >= 0)
            ;
    }
}

static long send_paced (void *publisher, long rate, double seconds, size_t bytes)
{
    static char body[MAX_BYTES];
    memset (body, 'x', sizeof body);
    memcpy (body, "tm", 2);
    long ticks = (long) (seconds * 1e9 / TICK_NS), sent = 0;
    struct timespec next;
    clock_gettime (CLOCK_MONOTONIC, &next);
    for (long tick = 1; tick <= ticks; tick++) {
        long due = (long) ((double) rate * tick * TICK_NS / 1e9);
        for (; sent < due; sent++) {
            long sent_ns = now_ns ();
            memcpy (body + 2, &sent_ns, sizeof sent_ns);
            zmq_send (publisher, body, bytes, 0);
        }
        next.tv_nsec += TICK_NS;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_sec++;
            next.tv_nsec -= 1000000000L;
        }
        clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return sent;
}

int main (int count, char **arguments)
{
    if (count != 7)
        return 2;
    subscriber_count = atoi (arguments[3]);
    if (subscriber_count < 1 || subscriber_count > MAX_SUBSCRIBERS)
        return 2;
    void *context = zmq_ctx_new ();
    void *publisher = connected (context, ZMQ_PUB, arguments[1]);
    for (int i = 0; i < subscriber_count; i++) {
        subscribers[i] = connected (context, ZMQ_SUB, arguments[2]);
        zmq_setsockopt (subscribers[i], ZMQ_SUBSCRIBE, "t", 1);
    }
    wait_for_paths (publisher);
    puts ("ready");
    fflush (stdout);
    if (getchar () == EOF)
        return 1;
    pthread_t reader;
    pthread_create (&reader, NULL, read_all, NULL);
    long sent = send_paced (publisher, atol (arguments[4]), atof (arguments[5]), (size_t) atol (arguments[6]));
    pthread_join (reader, NULL);
    long known = received < MAX_SAMPLES ? received : MAX_SAMPLES;
    qsort (samples, (size_t) known, sizeof *samples, compare);
    printf ("%ld %ld %.1f %.1f\n", sent, received, samples[known / 2] / 1e3, samples[known * 99 / 100] / 1e3);
    return 0;
}
