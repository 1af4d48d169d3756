#include "proposal_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "simmembers.h"

struct mesh_cluster *cluster;
struct cluster_peer *member, *joiner;

static void name(struct mesh_cluster_member *who, int which)
{
    memset(who->incarnation, which, sizeof who->incarnation);
    who->addr.port = (uint16_t)(7000 + which);
}

int proposal_case_open(void **state)
{
    void *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    struct mesh_cluster_config config = {.hash = simmembers_hash, .version = MESH_WIRE_VERSION};
    struct cluster_ballot ballot = {.number = NUMBER, .round = 1};
    struct cluster_list list = {.count = 2};
    const uint8_t id[16] = {55};

    (void)state;
    memset(config.incarnation, SELF, sizeof config.incarnation);
    if (!memory || mesh_cluster_init(&cluster, &config, memory, mesh_cluster_memory_bytes(), CLUSTER_S) != 0)
        return -1;
    memset(ballot.proposer, SELF, sizeof ballot.proposer);
    for (int i = 0; i < 3; i++)
        name(&list.members[i], i + SELF);
    mesh_cluster_install(cluster, &ballot, id, &list);
    member = mesh_cluster_peer_find(cluster, list.members[1].incarnation);
    joiner = mesh_cluster_peer_add(cluster, list.members[2].incarnation, list.members[2].addr);
    joiner->is_joining = true;
    list.count = 3;
    ballot.number = NUMBER + 1;
    cluster->plan.list = list;
    cluster->plan.ballot = ballot;
    cluster->plan.stage = MESH_STAGE_PROPOSE;
    cluster->plan.voted = 1;
    return 0;
}

int proposal_case_close(void **state)
{
    (void)state;
    free(cluster);
    return 0;
}

bool proposal_case_sends(unsigned type, struct mesh_message *message, uint16_t *port)
{
    static uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;

    while (mesh_cluster_next_datagram(cluster, cluster->now_ns, packet, sizeof packet, &output)) {
        assert_int_equal(mesh_wire_decode(packet, output.bytes, message), 0);
        *port = output.addr.port;
        if (message->header.type == type)
            return true;
    }
    return false;
}
