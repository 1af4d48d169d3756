/* What went over the network, in two traces. */
#include <string.h>

#include "diff.h"
#include "rows.h"

/* If the same range was sent in both, resends and copies included, its data is the same. place: among the tiles of its gather, in the order
 * in which they were first seen. Two names are to be filled in: the epoch's, and that of the compared value. */
#define TILES_SQL                                                                                                        \
    "SELECT %s, step, phase, token_first, token_count, block_first, block_count, hash IS NOT NULL, hash, other, "        \
    "row_number() OVER (PARTITION BY epoch, step, phase ORDER BY first) AS place, src, epoch FROM "                      \
    "(SELECT d.epoch, t.step, t.phase, t.token_first, t.token_count, t.block_first, t.block_count, min(%s) AS hash, "    \
    "max(%s) AS other, min(d.id) AS first, min(d.src) AS src FROM message_tile t JOIN datagrams d ON d.id = t.datagram " \
    "GROUP BY 1, 2, 3, 4, 5, 6, 7) ORDER BY 1, 2, 3, 4, 5, 6, 7"
enum {
    TILE_KEYS = 7, /* the first of them is the epoch's number, or its ordinal */
    TILE_STEP = 1,
    TILE_PHASE,
    TILE_TOKEN,
    TILE_BLOCK = 5,
    TILE_HAS_HASH = TILE_KEYS,
    TILE_HASH,
    TILE_OTHER,
    TILE_PLACE,
    TILE_SRC,
    TILE_EPOCH
};

static void compare_tile(struct diff_tiles *tiles, const struct diff_walk *walk)
{
    const struct mesh_trace_value *a = walk->values[0], *b = walk->values[1];

    if (!a[TILE_HAS_HASH].integer || !b[TILE_HAS_HASH].integer) {
        tiles->left_out++;
        return;
    }
    tiles->aligned++;
    if (a[TILE_PLACE].integer != b[TILE_PLACE].integer) {
        tiles->moved++;
        if (!tiles->has_move) {
            tiles->has_move = true;
            tiles->move_epoch = a[TILE_EPOCH].integer;
            tiles->move_step = a[TILE_STEP].integer;
            tiles->move_phase = a[TILE_PHASE].integer;
        }
    }
    if (a[TILE_HASH].integer == b[TILE_HASH].integer && a[TILE_OTHER].integer == b[TILE_OTHER].integer)
        return;
    tiles->different++;
    if (tiles->has_first)
        return;
    tiles->has_first = true;
    for (unsigned side = 0; side < 2; side++)
        tiles->epoch[side] = walk->values[side][TILE_EPOCH].integer;
    tiles->step = a[TILE_STEP].integer;
    tiles->phase = a[TILE_PHASE].integer;
    tiles->token = a[TILE_TOKEN].integer;
    tiles->block = a[TILE_BLOCK].integer;
    tiles->src = a[TILE_SRC].integer;
}

/* The gather of candidates, the last one of a step that draws; -1: its tiles are compared like all others. */
static int find_candidates(struct diff *diff, int64_t *phase, struct fail *fail)
{
    int64_t last[2];
    bool are_same;

    *phase = -1;
    if (diff_shares(diff, &are_same, fail) != 0)
        return -1;
    for (unsigned side = 0; side < 2; side++)
        if (rows_number(diff->paths[side], diff->traces[side], "SELECT max(phase) FROM message_tile", &last[side], fail) != 0)
            return -1;
    if (!are_same)
        *phase = last[0] > last[1] ? last[0] : last[1];
    return 0;
}

/* Where a recorder of data had no time to store it, there is a hash with a key of its own, which cannot be compared. */
static int begin_tiles(struct diff_walk *walk, struct diff *diff, struct fail *fail)
{
    const char *hash = diff_is_plain(diff, "payloads") ? "CASE WHEN d.coding > 0 THEN d.data_hash END" : "d.data_hash";
    char sql[sizeof TILES_SQL + 200];
    bool are_counted = false;

    if (diff_epochs(diff, &are_counted, fail) != 0)
        return -1;
    snprintf(sql, sizeof sql, TILES_SQL, are_counted ? "dense_rank() OVER (ORDER BY epoch)" : "epoch", hash, hash);
    return diff_walk_begin(walk, diff, sql, TILE_KEYS, fail);
}

/* Whether a request had tokens before an earlier one had all of its own. */
#define AT_ONCE_SQL                                                                                                                   \
    "SELECT count(*) FROM (SELECT first, max(last) OVER (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before " \
    "FROM (SELECT min(id) AS first, max(id) AS last FROM tokens GROUP BY request)) WHERE first < before"

/* Concurrent requests share steps in a different way each time: then differences between two runs mean nothing. */
static int excuse_shared_steps(struct diff *diff, struct fail *fail)
{
    int64_t at_once[2] = {0, 0};
    bool is_one_mesh = false;

    if (diff->tiles.verdict != DIFF_DIFFERENT)
        return 0;
    if (diff_is_one_mesh(diff, &is_one_mesh, fail) != 0)
        return -1;
    for (unsigned side = 0; side < 2 && !is_one_mesh; side++)
        if (rows_number(diff->paths[side], diff->traces[side], AT_ONCE_SQL, &at_once[side], fail) != 0)
            return -1;
    if (at_once[0] + at_once[1] > 0) {
        diff->tiles.verdict = DIFF_UNKNOWN;
        diff->tiles.are_steps_shared = true;
    }
    return 0;
}

int diff_tiles(struct diff *diff, struct fail *fail)
{
    struct diff_tiles *tiles = &diff->tiles;
    struct diff_walk walk;
    int64_t candidates;
    int result = find_candidates(diff, &candidates, fail);

    if (result == 0)
        result = begin_tiles(&walk, diff, fail);
    if (result != 0)
        return result;
    while (result == 0 && diff_walk_has(&walk)) {
        const int order = diff_walk_compare(&walk);

        if (order == 0 && walk.values[0][TILE_PHASE].integer == candidates)
            tiles->candidates++;
        else if (order == 0)
            compare_tile(tiles, &walk);
        else
            tiles->only[order > 0]++;
        result = diff_walk_next(&walk, order, fail);
    }
    diff_walk_end(&walk);
    tiles->verdict = diff_judge(diff, "payloads", tiles->aligned, tiles->different);
    return result != 0 ? result : excuse_shared_steps(diff, fail);
}
