/* Discovery by multicast: questions that unknown nodes send to the group, handled as if sent to this node alone. They pass the
 * filter of the node's own port (packet_filter.h), which limits how many tags of strangers are tried, and remembers their numbers. */
#include <string.h>
#include <unistd.h>

#include "discover.h"
#include "mesh/wire.h"
#include "serve_state.h"

enum { DATAGRAMS_MAX = 2048 /* per turn of the loop: some milliseconds */ };

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
    for (uint16_t r = 0; server->run != NULL && r < server->run->count; r++)
        if (memcmp(incarnation, server->run->member[r].incarnation, MESH_INCARNATION_BYTES) == 0)
            return false;
    return true;
}

static bool is_question(const struct server *server, const uint8_t *packet, size_t bytes)
{
    struct mesh_header header;

    return bytes >= MESH_HEADER_BYTES + MESH_INCARNATION_BYTES && mesh_wire_decode_header(packet, bytes, &header) == MESH_OK &&
           header.type == MESH_TYPE_ASK && header.epoch == 0 && is_strangers(server, packet + MESH_HEADER_BYTES);
}

void serve_discover_poll(struct server *server)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_addr from;
    ssize_t bytes;

    for (int i = 0; server->discover_fd >= 0 && i < DATAGRAMS_MAX && !packet_ring_is_half_full(&server->filter.ring); i++) {
        bytes = discover_next(server->discover_fd, &from, packet, sizeof packet);
        if (bytes < 0)
            break;
        if (is_question(server, packet, (size_t)bytes))
            packet_filter_take(&server->filter, mesh_udp_now_ns(), from, packet, (size_t)bytes);
    }
}

void serve_discover_close(struct server *server)
{
    if (server->discover_fd >= 0)
        close(server->discover_fd);
}
