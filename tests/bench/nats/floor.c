/* The least that a client of NATS can do: one write for all messages of a burst, and a read into one buffer.
 *
 * Usage: floor receive PORT SUBJECT BYTES TOTAL
 *        floor publish PORT SUBJECT BYTES TOTAL RATE
 * A payload has BYTES bytes and begins with the time of its burst in ns, as 20 digits. "receive" prints "ready", and
 * at the end "<count> <CPU in us per message> <p50> <p99>", the delays in us; "publish" prints its CPU.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 20)
#define BURSTS_PER_SECOND 500
static char buffer[BUFFER_BYTES];

static long now_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static double cpu_us (void)
{
    struct rusage used;
    getrusage (RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static int compare (const void *one, const void *other)
{
    long difference = *(const long *) one - *(const long *) other;
    return difference < 0 ? -1 : difference > 0;
}

static void fail (const char *what)
{
    perror (what);
    exit (1);
}

static void write_all (int connection, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = write (connection, data, size);
        if (sent <= 0)
            fail ("write");
        data += sent;
        size -= sent;
    }
}

/* Log in, send `command`, and wait until the server has handled it. */
static int open_connection (int port, const char *command)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons (port)};
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    int connection = socket (AF_INET, SOCK_STREAM, 0), on = 1;
    if (connect (connection, (struct sockaddr *) &address, sizeof address) < 0)
        fail ("connect");
    setsockopt (connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int size = snprintf (buffer, BUFFER_BYTES, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n%sPING\r\n", command);
    write_all (connection, buffer, size);
    size = 0;
    do {
        ssize_t got = read (connection, buffer + size, BUFFER_BYTES - 1 - size);
        if (got <= 0)
            fail ("login");
        size += got;
        buffer[size] = 0;
    } while (strstr (buffer, "PONG\r\n") == NULL);
    return connection;
}

static void receive (int port, const char *subject, int bytes, long total)
{
    char command[512];
    snprintf (command, sizeof command, "SUB %s 1\r\n", subject);
    int connection = open_connection (port, command);
    long *delays = malloc (total * sizeof *delays), count = 0;
    size_t header = snprintf (command, sizeof command, "MSG %s 1 %d\r\n", subject, bytes), kept = 0;
    size_t message = header + bytes + 2;
    printf ("ready\n");
    fflush (stdout);
    double before = cpu_us ();
    while (count < total) {
        ssize_t got = read (connection, buffer + kept, BUFFER_BYTES - kept);
        if (got <= 0)
            fail ("read");
        char *at = buffer, *end = buffer + kept + got;
        /* A PING of the server would be in the way; it sends the first one after minutes. */
        for (long now = now_ns (); at + message <= end && count < total; at += message)
            delays[count++] = now - strtol (at + header, NULL, 10);
        kept = end - at;
        memmove (buffer, at, kept);
    }
    double used = (cpu_us () - before) / total;
    qsort (delays, count, sizeof *delays, compare);
    printf ("%ld %f %f %f\n", count, used, delays[count / 2] / 1e3, delays[count * 99 / 100] / 1e3);
}

static void publish (int port, const char *subject, int bytes, long total, int rate)
{
    int connection = open_connection (port, "");
    int burst = rate > BURSTS_PER_SECOND ? rate / BURSTS_PER_SECOND : 1;
    double before = cpu_us ();
    long started = now_ns ();
    for (long sent = 0; sent < total;) {
        size_t size = 0;
        for (int i = 0; i < burst && sent < total; i++, sent++)
            size += sprintf (buffer + size, "PUB %s %d\r\n%020ld%*s\r\n", subject, bytes, now_ns (), bytes - 20, "");
        write_all (connection, buffer, size);
        long left = started + sent * 1000000000L / rate - now_ns ();
        if (left > 0)
            usleep (left / 1000);
    }
    printf ("%f\n", (cpu_us () - before) / total);
    sleep (1);
}

int main (int count, char **words)
{
    if (count == 6 && strcmp (words[1], "receive") == 0)
        receive (atoi (words[2]), words[3], atoi (words[4]), atol (words[5]));
    else if (count == 7 && strcmp (words[1], "publish") == 0)
        publish (atoi (words[2]), words[3], atoi (words[4]), atol (words[5]), atoi (words[6]));
    else
        return 2;
    return 0;
}
