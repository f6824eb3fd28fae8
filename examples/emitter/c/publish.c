/* Publish from C.  make && ./publish [tcp://127.0.0.1:5558]
 * For a broker that requires keys: ./publish tcp://127.0.0.1:5558 broker.key sender.key_secret
 *
 * ZMQ_IMMEDIATE and ZMQ_SNDTIMEO turn a missing broker into an error (EAGAIN after 2 s). ZMQ_LINGER gives queued
 * messages 2 s to be sent in zmq_ctx_term. With ZeroMQ's defaults zmq_send succeeds and the message is lost at exit.
 *
 * A sender that pushes to two brokers also puts a random "id" in each request, so that nodes ignore the duplicate.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

/* A frame is a topic followed by a body. Sizes are sizeof - 1, not strlen, because a topic contains NULs. */
static int publish(void *push, const char *topic, size_t topic_size, const void *body, size_t body_size)
{
    unsigned char frame[1024];
    if (topic_size + body_size > sizeof frame) {
        errno = EMSGSIZE;
        return -1;
    }
    memcpy(frame, topic, topic_size);
    memcpy(frame + topic_size, body, body_size);
    return zmq_send(push, frame, topic_size + body_size, 0);
}

static int publish_both(void *push)
{
    /* JSON, to all clients in the namespace "/". */
    static const char to_all[] = "zmqio/n//\0";
    static const char json[] = "{\"event\": \"news\", \"args\": [\"JSON from C\"]}";
    if (publish(push, to_all, sizeof to_all - 1, json, sizeof json - 1) < 0)
        return -1;

    /* msgpack, which can contain bytes, to the room "lobby" of the namespace "/". Written by hand: 0x80 + n is a map
     * of n pairs, 0x90 + n a list of n items, 0xa0 + n a text of n bytes, and 0xc4 n bytes of binary data. */
    static const char to_lobby[] = "zmqio/r//\0lobby\0";
    static const char msgpack[] = "\x83"
                                  "\xa5" "event" "\xa4" "news"
                                  "\xa4" "args"  "\x92" "\xae" "msgpack from C" "\xc4\x03" "\x00\x01\xff"
                                  "\xa5" "rooms" "\x91" "\xa5" "lobby";
    return publish(push, to_lobby, sizeof to_lobby - 1, msgpack, sizeof msgpack - 1);
}

/* Set an option to the key in a key file. `format` is the line of the key, for sscanf. */
static int set_key(void *push, int option, const char *path, const char *format)
{
    char line[256], key[41];
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    int found = 0;
    while (found != 1 && fgets(line, sizeof line, file))
        found = sscanf(line, format, key);
    fclose(file);
    errno = EINVAL;
    return found == 1 ? zmq_setsockopt(push, option, key, sizeof key) : -1;
}

static int set_keys(void *push, const char *server_file, const char *secret_file)
{
    static const char public_key[] = " public-key = \"%40[^\"]\"", secret_key[] = " secret-key = \"%40[^\"]\"";
    if (set_key(push, ZMQ_CURVE_SERVERKEY, server_file, public_key) < 0)
        return -1;
    if (set_key(push, ZMQ_CURVE_PUBLICKEY, secret_file, public_key) < 0)
        return -1;
    return set_key(push, ZMQ_CURVE_SECRETKEY, secret_file, secret_key);
}

int main(int argc, char **argv)
{
    const char *ingest = argc > 1 ? argv[1] : "tcp://127.0.0.1:5558";
    const int immediate = 1, limit_ms = 2000;

    void *context = zmq_ctx_new();
    void *push = zmq_socket(context, ZMQ_PUSH);
    zmq_setsockopt(push, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    zmq_setsockopt(push, ZMQ_SNDTIMEO, &limit_ms, sizeof limit_ms);
    zmq_setsockopt(push, ZMQ_LINGER, &limit_ms, sizeof limit_ms);

    if (argc > 3 && set_keys(push, argv[2], argv[3]) < 0) {
        fprintf(stderr, "cannot use the keys in %s and %s (%s)\n", argv[2], argv[3], zmq_strerror(errno));
        return 1;
    }
    int failed = zmq_connect(push, ingest) < 0 || publish_both(push) < 0;
    if (failed)
        fprintf(stderr, "not sent: no broker at %s accepted it within 2 s (%s)\n", ingest, zmq_strerror(errno));
    zmq_close(push);
    zmq_ctx_term(context);
    return failed;
}
