#include "join.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void join_init(struct join *join, uint16_t rank, uint16_t rank_count, const struct mesh_addr *peers)
{
    join->rank = rank;
    join->rank_count = rank_count;
    join->peers = peers;
}

static uint64_t others(const struct join *join)
{
    uint64_t all = join->rank_count == 64 ? UINT64_MAX : (UINT64_C(1) << join->rank_count) - 1;

    return all & ~(UINT64_C(1) << join->rank);
}

void join_up(struct join *join, uint16_t rank)
{
    atomic_fetch_or(&join->up, UINT64_C(1) << rank);
}

void join_ready(struct join *join, uint16_t rank)
{
    atomic_fetch_or(&join->ready, UINT64_C(1) << rank);
}

void join_refused(struct join *join, uint16_t rank, const char *reason)
{
    char address[MESH_ADDR_TEXT_BYTES];

    if (atomic_load(&join->is_refused))
        return;
    mesh_addr_format(join->peers[rank], address);
    snprintf(join->refusal, sizeof join->refusal, "%s: %s", address, reason);
    atomic_store(&join->is_refused, true);
}

bool join_all_up(struct join *join)
{
    return (others(join) & ~atomic_load(&join->up)) == 0;
}

int join_up_at(struct join *join, const struct mesh_addr *addr)
{
    uint64_t up = atomic_load(&join->up);

    for (uint16_t r = 0; r < join->rank_count; r++)
        if ((up >> r & 1) != 0 && mesh_addr_equal(&join->peers[r], addr))
            return r;
    return -1;
}

bool join_is_complete(struct join *join)
{
    return join_all_up(join) && (join->rank != 0 || (others(join) & ~atomic_load(&join->ready)) == 0);
}

int join_check(struct join *join, struct fail *fail)
{
    if (!atomic_load(&join->is_refused))
        return 0;
    return fail_set(fail, EXIT_ENVIRONMENT, "%s", join->refusal);
}

int join_late(struct join *join, uint64_t timeout_ns, struct mesh_udp *udp, struct fail *fail)
{
    static const uint8_t nothing[1];
    uint64_t silent = others(join) & ~atomic_load(&join->up);
    char address[MESH_ADDR_TEXT_BYTES], more[40] = "";

    if (silent == 0)
        return 0;
    uint16_t first = (uint16_t)__builtin_ctzll(silent);
    int count = __builtin_popcountll(silent);
    mesh_addr_format(join->peers[first], address);
    if (count > 1)
        snprintf(more, sizeof more, " and %d more", count - 1);
    if (udp != NULL && mesh_udp_send_to(udp, join->peers[first], nothing, sizeof nothing) == MESH_ESYSTEM && errno != ECONNREFUSED)
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "rank %u (%s)%s: nothing can be sent there: %s: see this machine's addresses, routes and firewall", first, address,
                        more, strerror(errno));
    return fail_set(fail, EXIT_ENVIRONMENT,
                    "rank %u (%s)%s: no answer within %" PRIu64 " s: start it, check the addresses, or wait longer with --join-timeout",
                    first, address, more, timeout_ns / 1000000000u);
}
