/* What a node says of other ranks that it does not hear, although they have not ended: they are stopped, or hang, and all wait. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "member_state.h"
#include "node/common/log.h"

/* Of nodes with one terminal only one speaks: rank 0, and rank 1 of rank 0. */
static bool speaks_of(const struct member *m, uint16_t rank)
{
    return m->config.is_single || m->config.rank == 0 || (m->config.rank == 1 && rank == 0);
}

static void look(struct member *m)
{
    const uint16_t rank_count = m->config.map->rank_count;
    uint64_t received[MESH_RANKS_MAX] = {0}, here = 0;
    struct mesh_peer_stats stats;

    for (uint16_t r = 0; r < rank_count; r++) {
        if (r == m->config.rank || !speaks_of(m, r))
            continue;
        engine_peer_stats(m->engine, r, &stats);
        received[r] = stats.datagrams_received;
        here |= (uint64_t)stats.is_up << r;
    }
    silence_look(&m->silence, mesh_udp_now_ns(), received, rank_count, here);
}

static void say(const struct member *m, const struct silence_news *news)
{
    const uint64_t seconds = news->silent_ns / 1000000000;
    const int process = m->config.is_single ? 0 : (int)m->config.processes[news->rank];
    char name[MESH_ADDR_TEXT_BYTES + 40], address[MESH_ADDR_TEXT_BYTES], remedy[120];

    if (m->config.is_single) {
        mesh_addr_format(m->config.peers[news->rank], address);
        snprintf(name, sizeof name, "rank %u (%s)", news->rank, address);
        snprintf(remedy, sizeof remedy, "see whether its process is stopped (kill -CONT) or hangs; Ctrl-C%s ends this node",
                 m->config.rank == 0 ? ", twice if need be," : "");
    } else {
        snprintf(name, sizeof name, "node %u (process %d)", news->rank, process);
        snprintf(remedy, sizeof remedy, "if it was stopped, kill -CONT %d lets it go on%s", process,
                 m->config.rank == 0 ? "; Ctrl-C, twice if need be, ends all nodes" : "");
    }
    if (m->token_taken > 0 && isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1)
        log_part("\n"); /* after the text so far */
    if (news->is_over)
        log_line("%s: answers again, after %" PRIu64 " s", name, seconds);
    else
        log_line("%s: has not answered for %" PRIu64 " s, and the others wait for it: %s", name, seconds, remedy);
}

void member_tell_silence(struct member *m, struct progress *progress)
{
    struct silence_news news;

    if (m->mesh == NULL || !silence_is_due(&m->silence, mesh_udp_now_ns()))
        return;
    look(m);
    while (silence_next(&m->silence, &news)) {
        if (progress != NULL)
            progress_end(progress);
        say(m, &news);
    }
}
