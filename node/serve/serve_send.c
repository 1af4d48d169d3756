/* Datagrams outside of epochs: the cluster layer's, and those of client sessions.
 *
 * When tiles are computed faster than the wire takes them, its queue is always full. Signs of life that are lost there make members that
 * are well look dead to one another. So the one for which there was no room waits, and what is behind it stays in its layer. It waits for a
 * short time only, and after one that has waited in vain none waits for a while: another interface may have room for those behind it. The
 * while is over when one leaves for the same address. What leaves for others may go by another interface: if it ended the while, each such
 * datagram would let the next one to the full interface wait in vain again. And it is over after some time, since at a queue that always
 * has room soon, but hardly ever at once, none would leave without waiting. */
#include "mesh/udp.h"
#include "node/common/idle.h"
#include "serve_state.h"

#define AGAIN_NS      UINT64_C(100000)    /* at 1 Gb/s the interface sends 12 kB meanwhile */
#define UNSENT_NS_MAX UINT64_C(20000000)  /* at 10 Mb/s it sends 25 kB meanwhile */
#define HASTE_NS      UINT64_C(200000000) /* so one of eleven parts of the time may be spent in vain */

/* False: there is no room, and it waits. */
static bool send_unsent(struct server *server)
{
    struct serve_unsent *unsent = &server->unsent;
    const uint64_t now_ns = mesh_udp_now_ns();
    int result;

    if (now_ns < unsent->again_ns)
        return false;
    result = mesh_udp_send_to(server->config->run.udp, unsent->to, unsent->packet, unsent->bytes);
    if (result == MESH_AGAIN && now_ns >= unsent->hasty_until_ns) {
        if (now_ns - unsent->since_ns < UNSENT_NS_MAX) {
            unsent->again_ns = now_ns + AGAIN_NS;
            return false;
        }
        unsent->hasty_until_ns = now_ns + HASTE_NS;
        unsent->full = unsent->to;
    } else if (result != MESH_AGAIN && mesh_addr_equal(&unsent->to, &unsent->full)) {
        unsent->hasty_until_ns = 0;
    }
    if (unsent->is_cluster)
        serve_network_sent(server, &unsent->to, result);
    unsent->bytes = 0;
    return true;
}

/* False: neither layer has one. */
static bool take(struct server *server)
{
    struct serve_unsent *unsent = &server->unsent;
    const enum mesh_security security = server->config->run.security;
    const uint64_t now_ns = mesh_udp_now_ns();
    struct mesh_output output;

    unsent->since_ns = unsent->again_ns = now_ns;
    while (mesh_cluster_next_datagram(server->cluster, now_ns, unsent->packet, sizeof unsent->packet, &output)) {
        serve_troubles_denied(server, &output.addr, unsent->packet, output.bytes);
        if (security != MESH_SECURITY_NONE && mesh_seal_packet(&server->process_key, security, unsent->packet, output.bytes) != MESH_OK)
            continue;
        unsent->bytes = output.bytes;
        unsent->to = output.addr;
        unsent->is_cluster = true;
        return true;
    }
    unsent->bytes = mesh_sessions_next_datagram(server->sessions, now_ns, unsent->packet, sizeof unsent->packet, &unsent->to);
    unsent->is_cluster = false;
    return unsent->bytes > 0;
}

void serve_send_outside(struct server *server)
{
    do
        if (server->unsent.bytes > 0 && !send_unsent(server))
            return;
    while (take(server));
}

void serve_send_rest(struct server *server)
{
    for (serve_send_outside(server); server->unsent.bytes > 0; serve_send_outside(server))
        idle_sleep(AGAIN_NS);
}
