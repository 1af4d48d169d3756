#include "session_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/wire.h"

static const char cluster[] = "harbour";

uint64_t session_net_draw(struct session_net *net)
{
    net->random = net->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return net->random >> 24;
}

static bool happens(struct session_net *net, uint32_t ppm)
{
    return session_net_draw(net) % 1000000 < ppm;
}

struct mesh_addr session_net_addr(unsigned client)
{
    struct mesh_addr addr = {.ip = {[10] = 255, [11] = 255, [12] = 127, [15] = 1}};

    addr.port = (uint16_t)(2 + client);
    return addr;
}

static struct mesh_addr node_addr(void)
{
    struct mesh_addr addr = session_net_addr(0);

    addr.port = 1;
    return addr;
}

bool session_net_init(struct session_net *net, unsigned capacity, enum mesh_security security, uint64_t seed)
{
    return session_net_init_tapped(net, capacity, security, seed, NULL);
}

static bool init(struct session_net *net, struct mesh_sessions_config config, enum mesh_security security, uint64_t seed)
{
    const size_t bytes = mesh_sessions_memory_bytes(config.capacity);

    if (security != MESH_SECURITY_NONE && !mesh_seal_is_available()) {
        return false;
    }
    memset(net, 0, sizeof *net);
    net->random = seed;
    net->now_ns = 5000000000u;
    net->security = security;
    net->echoes = true;
    memset(net->key.bytes, 9, sizeof net->key.bytes);
    memset(config.secret, (int)seed, sizeof config.secret);
    if (mesh_session_seal_init(&net->node_seal, security, &net->key, cluster, config.incarnation) != 0) {
        return false;
    }
    config.guard = &net->node_seal.guard;
    net->node_memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return net->node_memory != NULL && mesh_sessions_init(&net->node, &config, net->node_memory, bytes, net->now_ns) == 0;
}

bool session_net_init_tapped(struct session_net *net, unsigned capacity, enum mesh_security security, uint64_t seed,
                             const struct mesh_tap *tap)
{
    const struct mesh_sessions_config config = {.capacity = capacity, .hash = mesh_hash16, .incarnation = {77}, .tap = tap};

    return init(net, config, security, seed);
}

bool session_net_init_records(struct session_net *net, uint8_t records)
{
    const struct mesh_sessions_config config = {.capacity = 4, .hash = mesh_hash16, .incarnation = {77}, .records = records};

    return init(net, config, MESH_SECURITY_NONE, 1);
}

void session_net_release(struct session_net *net)
{
    for (unsigned i = 0; i < net->client_count; i++) {
        free(net->client[i].memory);
    }
    free(net->node_memory);
}

unsigned session_net_call(struct session_net *net, const struct mesh_key *key, uint16_t version, uint64_t timeout_ns)
{
    const unsigned index = net->client_count++;
    struct session_net_client *client = &net->client[index];
    struct mesh_call_config config = {.incarnation = {1, (uint8_t)index, (uint8_t)net->forgotten, (uint8_t)(net->forgotten >> 8)},
                                      .nonce = 1000 + index + net->forgotten,
                                      .addr = node_addr(),
                                      .timeout_ns = timeout_ns,
                                      .version = version,
                                      .guard = &client->seal.guard};
    const size_t bytes = mesh_call_memory_bytes();
    int err;

    assert(index < SESSION_NET_CLIENTS);
    client->addr = session_net_addr(index);
    err = mesh_session_seal_init(&client->seal, net->security, key != NULL ? key : &net->key, cluster, config.incarnation);
    assert(err == 0);
    client->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    err = mesh_call_init(&client->call, &config, client->memory, bytes, net->now_ns);
    assert(err == 0);
    (void)err;
    return index;
}

void session_net_forget_last(struct session_net *net)
{
    struct session_net_client *client = &net->client[--net->client_count];

    free(client->memory);
    memset(client, 0, sizeof *client);
    net->forgotten++;
}

/* ---- the wire ---- */

static void queue(struct session_net *net, struct mesh_addr from, int to, const uint8_t *packet, size_t bytes)
{
    struct session_net_packet *queued = &net->queue[net->queued];

    if (net->queued == SESSION_NET_QUEUE) {
        return;
    }
    queued->due_ns = net->now_ns + 100000 + (happens(net, net->reorder_ppm) ? session_net_draw(net) % 3000000 : 0);
    queued->from = from;
    queued->to = to;
    queued->bytes = bytes;
    memcpy(queued->packet, packet, bytes);
    if (happens(net, net->mutate_ppm)) {
        queued->packet[session_net_draw(net) % bytes] ^= (uint8_t)(1u << session_net_draw(net) % 8);
        net->mutated++;
    }
    net->queued++;
}

static void post(struct session_net *net, struct mesh_addr from, int to, const uint8_t *packet, size_t bytes)
{
    net->sent++;
    if (net->seen != NULL) {
        net->seen(net->app, to, packet, bytes);
    }
    if (happens(net, net->loss_ppm) || (to >= 0 && net->node_is_silent) ||
        (net->datagram_bytes_max != 0 && bytes > net->datagram_bytes_max)) {
        return;
    }
    queue(net, from, to, packet, bytes);
    if (happens(net, net->duplicate_ppm)) {
        queue(net, from, to, packet, bytes);
    }
}

/* ---- node and clients ---- */

static void drain_node(struct session_net *net)
{
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    struct mesh_session_event event;
    struct mesh_addr to;
    size_t bytes;

    while (mesh_sessions_next_event(net->node, net->now_ns, &event)) {
        if (event.type == MESH_SESSION_OPENED) {
            net->session[net->opened++ % SESSION_NET_LOG] = event.session;
        } else if (event.type == MESH_SESSION_CLOSED) {
            net->closed++;
            net->why = event.why;
        } else {
            net->records++;
            if (net->echoes) {
                mesh_sessions_send(net->node, net->now_ns, event.session, event.record, event.record_bytes);
            }
        }
    }
    while ((bytes = mesh_sessions_next_datagram(net->node, net->now_ns, packet, sizeof packet, &to)) > 0) {
        post(net, node_addr(), to.port - 2, packet, bytes);
    }
}

static void drain_client(struct session_net *net, struct session_net_client *client)
{
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    struct mesh_session_event event;
    size_t bytes;

    while (mesh_call_next_event(client->call, net->now_ns, &event)) {
        client->opened += event.type == MESH_SESSION_OPENED;
        client->closed += event.type == MESH_SESSION_CLOSED;
        client->failed += event.type == MESH_SESSION_FAILED;
        client->why = event.why;
        client->version = event.version;
        if (event.type == MESH_SESSION_RECORD) {
            client->records++;
            client->last_bytes = event.record_bytes;
            assert(event.record_bytes <= sizeof client->last);
            memcpy(client->last, event.record, event.record_bytes);
        }
    }
    while ((bytes = mesh_call_next_datagram(client->call, net->now_ns, packet, sizeof packet)) > 0) {
        post(net, client->addr, -1, packet, bytes);
    }
}

int session_net_inject(struct session_net *net, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    const int err = mesh_sessions_receive(net->node, net->now_ns, from, packet, bytes);

    drain_node(net);
    return err;
}

static bool deliver(struct session_net *net)
{
    struct session_net_packet due;
    unsigned first = net->queued;

    for (unsigned i = 0; i < net->queued; i++) {
        if (net->queue[i].due_ns <= net->now_ns && (first == net->queued || net->queue[i].due_ns < net->queue[first].due_ns)) {
            first = i;
        }
    }
    if (first == net->queued) {
        return false;
    }
    due = net->queue[first];
    memmove(&net->queue[first], &net->queue[first + 1], (net->queued - first - 1) * sizeof due);
    net->queued--;
    if (due.to < 0) {
        session_net_inject(net, due.from, due.packet, due.bytes);
    } else if ((unsigned)due.to < net->client_count) {
        mesh_call_receive(net->client[due.to].call, net->now_ns, due.from, due.packet, due.bytes);
        drain_client(net, &net->client[due.to]);
    }
    return true;
}

static uint64_t next_due(const struct session_net *net, uint64_t end_ns)
{
    uint64_t due_ns = end_ns, at_ns = mesh_sessions_timeout(net->node);

    due_ns = at_ns < due_ns ? at_ns : due_ns;
    for (unsigned i = 0; i < net->client_count; i++) {
        at_ns = mesh_call_timeout(net->client[i].call);
        due_ns = at_ns < due_ns ? at_ns : due_ns;
    }
    for (unsigned i = 0; i < net->queued; i++) {
        due_ns = net->queue[i].due_ns < due_ns ? net->queue[i].due_ns : due_ns;
    }
    return due_ns > net->now_ns ? due_ns : net->now_ns + 1000;
}

void session_net_run(struct session_net *net, uint64_t for_ns, bool (*done)(const struct session_net *net))
{
    const uint64_t end_ns = net->now_ns + for_ns;

    while (net->now_ns < end_ns && (done == NULL || !done(net))) {
        mesh_sessions_tick(net->node, net->now_ns);
        drain_node(net);
        for (unsigned i = 0; i < net->client_count; i++) {
            mesh_call_tick(net->client[i].call, net->now_ns);
            drain_client(net, &net->client[i]);
        }
        while (deliver(net)) {
        }
        net->now_ns = next_due(net, end_ns);
    }
}
