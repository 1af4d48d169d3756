/* The driver of one client session: a socket of its own, the clock, and the session's core. */
#include "mesh/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/fail_advice.h"
#include "mesh/session.h"
#include "mesh/udp.h"
#include "mesh/version.h"
#include "mesh/wire.h"

enum {
    SECOND_NS = 1000000000, /* also the longest that a session waits when it closes */
    LOOK_NS = 10000000,     /* between two questions whether the session is still wanted */
    STOOD_S = 9             /* a node gives up a session of which it hears nothing for 10 s */
};

struct mesh_client {
    struct mesh_client_config config;
    struct mesh_addr addr;
    struct mesh_udp *udp;
    struct mesh_session_seal seal;
    struct mesh_call *call;
    void *memory;
    struct mesh_session_event event; /* last one */
    bool is_open, is_over;
    int send_error;               /* why the system did not send the last datagram; 0: it did */
    uint64_t turned_ns, stood_ns; /* the last turn; the longest time between two, in which nothing was sent */
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
};

__attribute__((format(printf, 3, 4))) static int client_fail(struct mesh_client_error *why, int err, const char *format, ...)
{
    va_list arguments;

    why->err = err;
    va_start(arguments, format);
    vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    return err;
}

/* ---- turning ---- */

static void take(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_client *c = app;

    mesh_call_receive(c->call, now_ns, from, packet, bytes);
}

/* Send what there is to say at now_ns; a datagram that does not leave is a lost one. */
static void flush_at(struct mesh_client *c, uint64_t now_ns)
{
    size_t bytes;

    while ((bytes = mesh_call_next_datagram(c->call, now_ns, c->packet, sizeof c->packet)) > 0)
        c->send_error = mesh_udp_send_to(c->udp, c->addr, c->packet, bytes) == MESH_ESYSTEM && errno != ECONNREFUSED ? errno : 0;
}

static void flush(struct mesh_client *c)
{
    flush_at(c, mesh_udp_now_ns());
}

/* Between turns of a session datagrams are due that keep it alive: in a longer time this program did not run, or did not call. */
static void note_turn(struct mesh_client *c)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    if (c->is_open && now_ns - c->turned_ns > c->stood_ns)
        c->stood_ns = now_ns - c->turned_ns;
    c->turned_ns = now_ns;
}

static void turn(struct mesh_client *c)
{
    note_turn(c);
    mesh_udp_poll(c->udp, NULL);
    mesh_call_tick(c->call, mesh_udp_now_ns());
    flush(c);
}

/* Sleep until something arrives or is due, or until end_ns. */
static void wait_until(struct mesh_client *c, uint64_t end_ns)
{
    uint64_t due_ns = mesh_call_timeout(c->call), now_ns = mesh_udp_now_ns();

    due_ns = due_ns < end_ns ? due_ns : end_ns;
    if (due_ns > now_ns)
        mesh_udp_wait(c->udp, NULL, due_ns - now_ns);
}

static bool is_wanted(const struct mesh_client *c)
{
    return c->config.is_wanted == NULL || c->config.is_wanted(c->config.app);
}

/* Until something arrives or is due, or it is time to ask whether the session is still wanted. */
static void wait_while_wanted(struct mesh_client *c)
{
    wait_until(c, c->config.is_wanted == NULL ? UINT64_MAX : mesh_udp_now_ns() + LOOK_NS);
}

/* ---- in words ---- */

static int say_no_answer(const struct mesh_client *c, struct mesh_client_error *why)
{
    const double seconds = (double)c->config.timeout_ns / SECOND_NS;

    if (c->send_error != 0)
        return client_fail(why, MESH_ESYSTEM, "%s: nothing can be sent there: %s: see this machine's addresses, routes and firewall",
                           c->config.address, strerror(c->send_error));
    if (c->config.security == MESH_SECURITY_NONE)
        return client_fail(
            why, MESH_ESYSTEM,
            "%s: no answer within %g s: is a node there, and does it run without a key (--security none)? if it has one, give --key FILE",
            c->config.address, seconds);
    return client_fail(
        why, MESH_ESYSTEM,
        "%s: no answer within %g s: is a node there, does it have the key%s%s, and are its --name%s%.64s and its --security %s, as here?",
        c->config.address, seconds, c->config.key_file != NULL ? " " : "", c->config.key_file != NULL ? c->config.key_file : "",
        c->config.cluster[0] != '\0' ? " " : "", c->config.cluster, c->config.security == MESH_SECURITY_AUTH ? "auth" : "seal");
}

/* Silence between the two is this program's own doing if it has stood still for that long itself. */
static int say_silent(const struct mesh_client *c, struct mesh_client_error *why)
{
    const unsigned stood_s = (unsigned)(c->stood_ns / SECOND_NS);

    if (stood_s < STOOD_S)
        return client_fail(why, MESH_ESYSTEM, "%s: nothing heard for 10 s: see whether the node is still there", c->config.address);
    return client_fail(why, MESH_ESYSTEM,
                       "%s: this program stood still for %u s (stopped, or nobody read its output), so the node has ended the session: "
                       "begin again",
                       c->config.address, stood_s);
}

/* Why it is over, or never was open. */
static int say_why(const struct mesh_client *c, struct mesh_client_error *why)
{
    const char *at = c->config.address;

    switch (c->event.why) {
    case MESH_SESSION_GOODBYE:
        return client_fail(why, MESH_ESYSTEM, "%s: the node has closed the session: see what it prints, or ask another node", at);
    case MESH_SESSION_SILENT:
        return say_silent(c, why);
    case MESH_SESSION_NARROW:
        return client_fail(why, MESH_ESYSTEM,
                           "%s: the node answers, but for 10 s no long message has reached it: the path to it carries no datagrams of 1200 "
                           "bytes: raise its MTU",
                           at);
    case MESH_SESSION_FULL:
        return client_fail(why, MESH_ESYSTEM, "%s: the node has as many clients as it takes: ask another node, or later", at);
    case MESH_SESSION_VERSION:
        return client_fail(why, MESH_ESYSTEM, "%s: the node speaks protocol version %u, this program %u: run one release everywhere", at,
                           c->event.version, c->config.version != 0 ? c->config.version : MESH_WIRE_VERSION);
    case MESH_SESSION_ENDING:
        return client_fail(why, MESH_ESYSTEM, "%s: the node is shutting down: ask another node", at);
    case MESH_SESSION_NO_ANSWER:
        return say_no_answer(c, why);
    default:
        return client_fail(
            why, MESH_ESYSTEM,
            "%s: the node's questions and answers have version %u, those of this program (%s) version %u: use the program of "
            "the node's build",
            at, c->event.version, MESH_VERSION, MESH_SESSION_RECORDS);
    }
}

/* ---- opening ---- */

static int check(const struct mesh_client_config *config, struct mesh_client_error *why)
{
    const int security = (int)config->security;

    if (config->address == NULL)
        return client_fail(why, MESH_EINVAL, "address: there is none: give the node's, like 127.0.0.1:7411");
    if (security < MESH_SECURITY_NONE || security > MESH_SECURITY_SEAL)
        return client_fail(why, MESH_EINVAL, "security: %d is none: give one of enum mesh_security", security);
    if (security != MESH_SECURITY_NONE && config->key == NULL)
        return client_fail(why, MESH_EINVAL, "key: there is none, and the security is not 'none': give the cluster's key");
    if (config->cluster == NULL)
        return client_fail(why, MESH_EINVAL, "cluster: it has no name: give the nodes' --name, which is 'mesh' unless one was given");
    return 0;
}

static int parse(struct mesh_client *c, struct mesh_client_error *why)
{
    static const uint8_t any_v4[16] = {[10] = 0xff, [11] = 0xff};
    char reason[200];
    const int err = mesh_addr_parse(c->config.address, &c->addr, reason, sizeof reason);

    if (err != MESH_OK)
        return client_fail(why, err, "%s", reason);
    if (c->addr.port == 0)
        return client_fail(why, MESH_EINVAL, "'%s': no port: give the node's, like 127.0.0.1:7411", c->config.address);
    if (mesh_addr_is_any(&c->addr) || memcmp(c->addr.ip, any_v4, sizeof any_v4) == 0) {
        c->addr.ip[10] = c->addr.ip[11] = 255;
        c->addr.ip[12] = 127;
        c->addr.ip[15] = 1;
    }
    return 0;
}

/* Any free port, and of the loopback when the node is there. */
static int open_socket(struct mesh_client *c, struct mesh_client_error *why)
{
    struct mesh_addr local = c->addr;

    local.port = 0;
    if (!mesh_addr_is_loopback(local)) {
        memset(&local, 0, sizeof local);
        if (mesh_addr_is_v4(&c->addr))
            local.ip[10] = local.ip[11] = 255;
    }
    if (mesh_udp_open(&c->udp, local, NULL) != MESH_OK)
        return client_fail(why, MESH_ESYSTEM, "%s: no socket to call it from: %s: %s", c->config.address, strerror(errno),
                           fail_advice(errno, "see whether this machine has a network for it"));
    mesh_udp_set_outside(c->udp, take, c);
    return 0;
}

static int open_call(struct mesh_client *c, struct mesh_client_error *why)
{
    struct mesh_call_config config = {
        .addr = c->addr, .timeout_ns = c->config.timeout_ns, .version = c->config.version, .guard = &c->seal.guard};
    size_t bytes = mesh_call_memory_bytes();
    int err;

    if (mesh_random(config.incarnation, sizeof config.incarnation) != MESH_OK || mesh_random(&config.nonce, sizeof config.nonce) != MESH_OK)
        return client_fail(why, MESH_ESYSTEM, "random numbers: the system gives none: %s: no session can be made without", strerror(errno));
    config.nonce |= 1;
    err = mesh_session_seal_init(&c->seal, c->config.security, c->config.key, c->config.cluster, config.incarnation);
    if (err == MESH_EINVAL)
        return client_fail(why, MESH_EINVAL, "cluster: '%.80s': longer than %d bytes: give its real name", c->config.cluster,
                           MESH_CLUSTER_NAME_BYTES_MAX);
    if (err != MESH_OK)
        return client_fail(why, MESH_ESYSTEM,
                           "%s: no key can be used: this program was built without libsodium: install it and build again",
                           c->config.address);
    if (posix_memalign(&c->memory, 64, bytes) != 0)
        return client_fail(why, MESH_ESYSTEM, "memory: cannot have %zu bytes for a session: close other programs", bytes);
    err = mesh_call_init(&c->call, &config, c->memory, bytes, mesh_udp_now_ns());
    if (err != MESH_OK)
        return client_fail(why, MESH_ESYSTEM, "session: cannot be started: %s: report this", mesh_strerror(err));
    return 0;
}

static int connect_call(struct mesh_client *c, struct mesh_client_error *why)
{
    for (;;) {
        turn(c);
        if (mesh_call_next_event(c->call, mesh_udp_now_ns(), &c->event)) {
            c->is_open = c->event.type == MESH_SESSION_OPENED;
            c->is_over = !c->is_open;
            return c->is_open ? 0 : say_why(c, why);
        }
        if (!is_wanted(c))
            return client_fail(why, MESH_ESYSTEM, "%s: no answer yet, and the session is no longer wanted", c->config.address);
        wait_while_wanted(c);
    }
}

struct mesh_client *mesh_client_open(const struct mesh_client_config *config, struct mesh_client_error *why)
{
    struct mesh_client *c = calloc(1, sizeof *c);

    if (c == NULL) {
        client_fail(why, MESH_ESYSTEM, "memory: out of memory: close other programs");
        return NULL;
    }
    c->config = *config;
    if (c->config.timeout_ns == 0)
        c->config.timeout_ns = 5 * (uint64_t)SECOND_NS;
    if (check(config, why) == 0 && parse(c, why) == 0 && open_socket(c, why) == 0 && open_call(c, why) == 0 && connect_call(c, why) == 0)
        return c;
    mesh_client_close(c);
    return NULL;
}

/* Without waiting any longer for what is under way: as if the time for that were over. Nothing is received afterwards. */
static void say_goodbye(struct mesh_client *c)
{
    const uint64_t late_ns = mesh_udp_now_ns() + SECOND_NS;

    mesh_call_tick(c->call, late_ns);
    flush_at(c, late_ns);
}

static void end_call(struct mesh_client *c)
{
    struct mesh_session_event event;

    mesh_call_close(c->call, mesh_udp_now_ns());
    flush(c);
    while (!mesh_call_is_over(c->call) && is_wanted(c)) {
        wait_while_wanted(c);
        turn(c);
        while (mesh_call_next_event(c->call, mesh_udp_now_ns(), &event))
            ;
    }
    if (!mesh_call_is_over(c->call))
        say_goodbye(c);
}

void mesh_client_close(struct mesh_client *c)
{
    if (c == NULL)
        return;
    if (c->is_open)
        end_call(c);
    mesh_udp_close(c->udp);
    mesh_session_seal_release(&c->seal);
    free(c->memory);
    free(c);
}

/* ---- records ---- */

int mesh_client_send(struct mesh_client *c, const uint8_t *record, size_t bytes, struct mesh_client_error *why)
{
    for (;;) {
        int err = c->is_over ? MESH_ESTATE : mesh_call_send(c->call, mesh_udp_now_ns(), record, bytes);

        if (err == MESH_OK) {
            flush(c);
            return 0;
        }
        if (err == MESH_EINVAL)
            return client_fail(why, MESH_EINVAL, "%s: a message of %zu bytes cannot be sent: give 1 to %d", c->config.address, bytes,
                               MESH_RECORD_BYTES_MAX);
        if (err == MESH_ESTATE)
            return c->is_over ? say_why(c, why)
                              : client_fail(why, MESH_ESYSTEM, "%s: the session is over: open another one", c->config.address);
        turn(c);
        wait_until(c, UINT64_MAX);
    }
}

int mesh_client_receive(struct mesh_client *c, const uint8_t **record, size_t *bytes, uint64_t timeout_ns, struct mesh_client_error *why)
{
    const uint64_t begin_ns = mesh_udp_now_ns(), end_ns = timeout_ns < UINT64_MAX - begin_ns ? begin_ns + timeout_ns : UINT64_MAX;

    for (;;) {
        struct mesh_session_event event;

        if (c->is_over)
            return say_why(c, why);
        turn(c);
        if (mesh_call_next_event(c->call, mesh_udp_now_ns(), &event)) {
            c->event = event;
            c->is_over = event.type != MESH_SESSION_RECORD;
            if (!c->is_over) {
                *record = event.record;
                *bytes = event.record_bytes;
                return 1;
            }
        } else if (mesh_udp_now_ns() >= end_ns) {
            return 0;
        } else {
            wait_until(c, end_ns);
        }
    }
}

uint64_t mesh_client_silent_ns(const struct mesh_client *c)
{
    const uint64_t heard_ns = c->is_over ? 0 : mesh_call_heard_ns(c->call), now_ns = mesh_udp_now_ns();

    return heard_ns > 0 && now_ns > heard_ns ? now_ns - heard_ns : 0;
}

/* ---- other event loops ---- */

int mesh_client_fd(const struct mesh_client *c)
{
    return mesh_udp_fd(c->udp);
}

uint64_t mesh_client_timeout(struct mesh_client *c)
{
    const uint64_t call_ns = mesh_call_timeout(c->call), udp_ns = mesh_udp_timeout(c->udp, NULL);

    return call_ns < udp_ns ? call_ns : udp_ns;
}
