/* The floor: XSUB and XPUB connected by zmq_proxy, and nothing else.
 *
 * Usage: bare_proxy PUBLISH_ADDRESS SUBSCRIBE_ADDRESS
 * Prints the version of libzmq once both are bound. The queue limits resemble those of the zmqio broker, so that both
 * drop messages under the same load, or neither does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

static void *bound (void *context, int type, const char *address, int send_queue)
{
    void *socket = zmq_socket (context, type);
    int unlimited = 0;
    zmq_setsockopt (socket, ZMQ_SNDHWM, &send_queue, sizeof send_queue);
    zmq_setsockopt (socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    if (zmq_bind (socket, address) != 0) {
        fprintf (stderr, "cannot bind %s: %s\n", address, zmq_strerror (zmq_errno ()));
        exit (1);
    }
    return socket;
}

int main (int count, char **arguments)
{
    if (count != 3)
        return 2;
    void *context = zmq_ctx_new ();
    void *subscribe = bound (context, ZMQ_XPUB, arguments[2], 10000);
    void *publish = bound (context, ZMQ_XSUB, arguments[1], 0);
    int major, minor, patch;
    zmq_version (&major, &minor, &patch);
    printf ("%d.%d.%d\n", major, minor, patch);
    fflush (stdout);
    return zmq_proxy (publish, subscribe, NULL);
}
