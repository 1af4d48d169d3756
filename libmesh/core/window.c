/* Received numbers of a peer's two spaces: duplicates, gaps, losses.
 *
 * The sender leaves no number of a space out, so one that is skipped is missing until it comes (then it was reordered) or has been missing
 * for the reorder delay (then it counts as lost). The timer runs for all that is missing up to limit, which old_missing counts; new_missing
 * counts what is found missing meanwhile, and for that the timer starts again afterwards. */
#include "core.h"

#include <assert.h>
#include <string.h>

bool mesh_window_has(const struct mesh_window *window, uint64_t number)
{
    if (number > window->highest)
        return false;
    if (window->highest - number >= MESH_NUMBERS)
        return true; /* too old to tell: as good as seen */
    return window->bits[number % MESH_NUMBERS / 64] >> (number % 64) & 1;
}

static void mark(struct mesh_window *window, uint64_t number)
{
    window->bits[number % MESH_NUMBERS / 64] |= UINT64_C(1) << (number % 64);
}

static void unmark(struct mesh_window *window, uint64_t number)
{
    window->bits[number % MESH_NUMBERS / 64] &= ~(UINT64_C(1) << (number % 64));
}

static void start_timer(struct mesh *mesh, struct mesh_window *window)
{
    window->limit = window->highest;
    window->old_missing = window->new_missing;
    window->new_missing = 0;
    window->gap_at_ns = mesh->now_ns + mesh->config.reorder_delay_ns;
    mesh_arm(mesh, window->gap_at_ns);
}

/* number is above the highest: what lies between is missing. */
static void advance(struct mesh *mesh, struct mesh_window *window, uint64_t number)
{
    uint64_t skipped = number - window->highest - 1;

    if (skipped >= MESH_NUMBERS)
        memset(window->bits, 0, sizeof window->bits);
    else
        for (uint64_t missing = window->highest + 1; missing < number; missing++)
            unmark(window, missing);
    mark(window, number);
    window->highest = number;
    if (skipped) {
        /* A peer may send any number: what a jump can add to its losses is bounded. */
        window->new_missing += skipped < UINT16_MAX ? (uint32_t)skipped : UINT16_MAX;
        if (!window->limit)
            start_timer(mesh, window);
    }
}

/* A missing number came after all. */
static void fill(struct mesh_peer *peer, struct mesh_window *window, uint64_t number)
{
    mark(window, number);
    peer->stats.reordered++;
    if (number <= window->judged) {
        peer->stats.late++;
        peer->stats.lost -= peer->stats.lost > 0;
    } else if (number <= window->limit) {
        window->old_missing -= window->old_missing > 0;
    } else {
        window->new_missing -= window->new_missing > 0;
    }
}

void mesh_window_add(struct mesh *mesh, struct mesh_peer *peer, bool is_all, uint64_t number)
{
    struct mesh_window *window = &peer->seen[is_all];

    assert(number && !mesh_window_has(window, number));
    if (number < window->highest) {
        fill(peer, window, number);
        return;
    }
    if (!window->highest && peer->state != MESH_PEER_UP) {
        /* Datagrams sent before this process listened are not lost. */
        window->highest = number - 1;
        window->judged = number - 1;
        memset(window->bits, 0xff, sizeof window->bits);
    }
    advance(mesh, window, number);
}

void mesh_window_reset(struct mesh_peer *peer)
{
    memset(peer->seen, 0, sizeof peer->seen);
}

/* Judge what has been missing for the reorder delay. True when numbers are lost. */
static bool judge(struct mesh *mesh, struct mesh_peer *peer, struct mesh_window *window)
{
    uint32_t lost = window->old_missing;

    if (!window->limit)
        return false;
    if (mesh->now_ns < window->gap_at_ns) {
        mesh_arm(mesh, window->gap_at_ns);
        return false;
    }
    peer->stats.lost += lost;
    window->judged = window->limit;
    window->limit = 0;
    window->gap_at_ns = 0;
    window->old_missing = 0;
    if (window->new_missing)
        start_timer(mesh, window);
    return lost > 0;
}

void mesh_window_tick(struct mesh *mesh, struct mesh_peer *peer)
{
    bool is_lost = judge(mesh, peer, &peer->seen[0]);

    is_lost |= judge(mesh, peer, &peer->seen[1]);
    if (is_lost && peer->state == MESH_PEER_UP)
        mesh_nak_gap(mesh, peer);
}
