/* Discovery by multicast: questions that unknown nodes send to the group, handled as if sent to this node alone. */
#include <string.h>
#include <unistd.h>

#include "discover.h"
#include "mesh/wire.h"
#include "serve_state.h"

enum { QUESTIONS_MAX = 16 /* per turn of the loop */ };

int serve_discover_open(struct server *server, struct fail *fail)
{
    const struct serve_config *config = server->config;

    if (config->discover.port == 0)
        return 0;
    server->discover_fd = discover_open(config->discover, config->listen, fail);
    return server->discover_fd < 0 ? -1 : 0;
}

/* A node receives its own questions, and members know the answers to one another's: a complete cluster is quiet. */
static bool is_strangers(const struct server *server, const uint8_t *incarnation)
{
    if (memcmp(incarnation, server->incarnation, MESH_INCARNATION_BYTES) == 0)
        return false;
    for (uint16_t r = 0; server->shift != NULL && r < server->shift->count; r++)
        if (memcmp(incarnation, server->shift->member[r].incarnation, MESH_INCARNATION_BYTES) == 0)
            return false;
    return true;
}

/* Open a question, which must be sealed with the key. */
static void take(struct server *server, struct mesh_addr from, uint8_t *packet, size_t bytes)
{
    const struct serve_config *config = server->config;
    struct mesh_seal_key key = {0};
    bool fits = true;

    if (config->shift.security != MESH_SECURITY_NONE)
        fits = mesh_seal_key_of_process(&key, &config->cluster_key, config->shift.cluster, packet + MESH_HEADER_BYTES) == MESH_OK &&
               mesh_open_packet(&key, config->shift.security, packet, bytes) == MESH_OK;
    mesh_wipe(&key, sizeof key);
    if (fits)
        mesh_cluster_receive(server->cluster, mesh_udp_now_ns(), from, packet, bytes);
    else
        server->refused[MESH_SEAL_TAG]++;
}

void serve_discover_poll(struct server *server)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_header header;
    struct mesh_addr from;
    size_t bytes;

    for (int i = 0; server->discover_fd >= 0 && i < QUESTIONS_MAX; i++) {
        bytes = discover_next(server->discover_fd, &from, packet, sizeof packet);
        if (bytes == 0)
            break;
        if (bytes >= MESH_HEADER_BYTES + MESH_INCARNATION_BYTES && mesh_wire_decode_header(packet, bytes, &header) == MESH_OK &&
            header.type == MESH_TYPE_ASK && is_strangers(server, packet + MESH_HEADER_BYTES))
            take(server, from, packet, bytes);
    }
}

void serve_discover_close(struct server *server)
{
    if (server->discover_fd >= 0)
        close(server->discover_fd);
}
