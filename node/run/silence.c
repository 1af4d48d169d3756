#include "silence.h"

#include <assert.h>

static void begin_rank(struct silence_rank *rank)
{
    rank->silent_ns = 0;
    rank->tell_ns = SILENCE_FIRST_NS;
    rank->is_told = false;
}

void silence_init(struct silence *silence, uint64_t now_ns)
{
    *silence = (struct silence){.looked_ns = now_ns};
    for (unsigned r = 0; r < MESH_RANKS_MAX; r++)
        begin_rank(&silence->rank[r]);
}

bool silence_is_due(const struct silence *silence, uint64_t now_ns)
{
    return now_ns - silence->looked_ns >= SILENCE_LOOK_NS;
}

/* True: there is something to tell. */
static bool look(struct silence_rank *rank, uint64_t received, bool is_here, uint64_t passed_ns)
{
    rank->is_over = received != rank->received || !is_here;
    rank->received = received;
    if (!rank->is_over) {
        rank->silent_ns += passed_ns;
        return rank->silent_ns >= rank->tell_ns;
    }
    if (rank->is_told)
        return true;
    begin_rank(rank);
    return false;
}

void silence_look(struct silence *silence, uint64_t now_ns, const uint64_t *received, uint16_t rank_count, uint64_t here)
{
    uint64_t passed_ns = now_ns - silence->looked_ns;

    assert(now_ns >= silence->looked_ns && silence->pending == 0 && rank_count <= MESH_RANKS_MAX);
    if (passed_ns > 2 * SILENCE_LOOK_NS)
        passed_ns = SILENCE_LOOK_NS; /* this process stood still, and what others have sent meanwhile may not have been read */
    silence->looked_ns = now_ns;
    for (uint16_t r = 0; r < rank_count; r++)
        if (look(&silence->rank[r], received[r], (here >> r & 1) != 0, passed_ns))
            silence->pending |= UINT64_C(1) << r;
}

bool silence_next(struct silence *silence, struct silence_news *news)
{
    struct silence_rank *rank;

    if (silence->pending == 0)
        return false;
    news->rank = (uint16_t)__builtin_ctzll(silence->pending);
    rank = &silence->rank[news->rank];
    silence->pending &= silence->pending - 1;
    news->silent_ns = rank->silent_ns;
    news->is_over = rank->is_over;
    rank->is_told = true;
    rank->tell_ns *= SILENCE_AGAIN;
    if (rank->is_over)
        begin_rank(rank);
    return true;
}
