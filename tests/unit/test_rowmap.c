/* Which node computes which rows: dealing any units by any shares, and the map of any model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/hash.h"
#include "node/kernel/kernel.h"
#include "node/model/rowmap.h"

static const uint32_t equal[MESH_RANKS_MAX] = {[0 ... MESH_RANKS_MAX - 1] = 1};

static uint32_t draw(uint64_t seed, uint32_t index, uint32_t below)
{
    return (uint32_t)(hash_mix64(seed * 1000003 + index) % below);
}

/* Shares from a seed: now and then 0, at least one of them not; of very different sizes. */
static void draw_shares(uint64_t seed, uint16_t ranks, uint32_t *shares)
{
    for (uint32_t r = 0; r < ranks; r++)
        shares[r] = draw(seed, 3 * r, 3) == 0 ? 0 : 1 + draw(seed, 3 * r + 1, UINT32_C(1) << draw(seed, 3 * r + 2, 20));
    shares[draw(seed, 999, ranks)] += 1;
}

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

static void every_unit_is_dealt_once_and_in_rank_order(void **state)
{
    uint32_t shares[MESH_RANKS_MAX], first[MESH_RANKS_MAX + 1];

    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        uint16_t ranks = (uint16_t)(1 + draw(seed, 1000, MESH_RANKS_MAX));
        uint32_t units = draw(seed, 1001, UINT32_C(1) << draw(seed, 1002, 22)), prefer = 1 + draw(seed, 1003, 16);

        draw_shares(seed, ranks, shares);
        rowmap_deal(shares, ranks, units, prefer, first);
        assert_int_equal(first[0], 0);
        assert_int_equal(first[ranks], units);
        for (uint16_t r = 0; r < ranks; r++)
            assert_true(first[r] <= first[r + 1]);
    }
}

static void a_share_of_zero_gets_nothing(void **state)
{
    uint32_t shares[MESH_RANKS_MAX], first[MESH_RANKS_MAX + 1];

    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        uint16_t ranks = (uint16_t)(1 + draw(seed, 1000, MESH_RANKS_MAX));

        draw_shares(seed, ranks, shares);
        rowmap_deal(shares, ranks, draw(seed, 1001, 5000), 8, first);
        for (uint16_t r = 0; r < ranks; r++)
            if (shares[r] == 0)
                assert_int_equal(first[r], first[r + 1]);
    }
}

/* Within one unit for rounding at both ends, plus the slack of preferred boundaries. */
static void units_are_dealt_in_proportion(void **state)
{
    uint32_t shares[MESH_RANKS_MAX], first[MESH_RANKS_MAX + 1];

    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        uint16_t ranks = (uint16_t)(1 + draw(seed, 1000, 16));
        uint32_t units = draw(seed, 1001, 40000);
        double total = 0;

        draw_shares(seed, ranks, shares);
        rowmap_deal(shares, ranks, units, 8, first);
        for (uint16_t r = 0; r < ranks; r++)
            total += shares[r];
        for (uint16_t r = 0; r < ranks; r++) {
            double exact = shares[r] * (double)units / total, dealt = first[r + 1] - first[r];

            assert_true(dealt - exact <= 1 + 2.0 * units / ranks / 24 && exact - dealt <= 1 + 2.0 * units / ranks / 24);
        }
    }
}

static void boundaries_move_to_the_preferred_multiple_only_when_it_is_near(void **state)
{
    uint32_t plain[MESH_RANKS_MAX + 1], first[MESH_RANKS_MAX + 1];

    (void)state;
    for (uint16_t ranks = 2; ranks <= 16; ranks++) {
        for (uint32_t units = 0; units < 2000; units += 37) {
            rowmap_deal(equal, ranks, units, 1, plain);
            rowmap_deal(equal, ranks, units, 8, first);
            for (uint16_t r = 1; r < ranks; r++) {
                uint32_t nearest = (plain[r] + 4) / 8 * 8;

                if (distance(nearest, plain[r]) <= units / ranks / 24 && nearest <= units)
                    assert_int_equal(first[r], nearest);
                else
                    assert_int_equal(first[r], plain[r]);
            }
        }
    }
}

static void equal_shares_of_whole_slices_end_at_slices(void **state)
{
    uint32_t first[4];

    (void)state;
    rowmap_deal(equal, 3, 128, 8, first); /* 42.67 and 85.33, with a slack of 1 */
    assert_int_equal(first[1], 43);
    assert_int_equal(first[2], 85);
    rowmap_deal(equal, 3, 240, 8, first);
    assert_int_equal(first[1], 80);
    assert_int_equal(first[2], 160);
    rowmap_deal(equal, 3, 344, 8, first); /* 114.67 and 229.33, with a slack of 4 */
    assert_int_equal(first[1], 112);
    assert_int_equal(first[2], 232);
}

static void a_common_factor_of_the_shares_changes_nothing(void **state)
{
    static const uint32_t small[] = {3, 0, 2, 7}, large[] = {3000, 0, 2000, 7000};
    uint32_t a[5], b[5];

    (void)state;
    for (uint32_t units = 0; units < 500; units++) {
        rowmap_deal(small, 4, units, 8, a);
        rowmap_deal(large, 4, units, 8, b);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void the_largest_shares_do_not_overflow(void **state)
{
    uint32_t shares[MESH_RANKS_MAX], first[MESH_RANKS_MAX + 1];

    (void)state;
    for (uint16_t r = 0; r < MESH_RANKS_MAX; r++)
        shares[r] = UINT32_MAX;
    rowmap_deal(shares, MESH_RANKS_MAX, MODEL_VOCAB_MAX, 1, first);
    for (uint16_t r = 0; r <= MESH_RANKS_MAX; r++)
        assert_int_equal(first[r], (uint32_t)r * (MODEL_VOCAB_MAX / MESH_RANKS_MAX));
}

/* ---- maps of models ---- */

static const struct model shapes[] = {
    {.dim = 64, .hidden = 32, .heads = 1, .kv_heads = 1, .head_dim = 64, .vocab = 300},
    {.dim = 40, .hidden = 33, .heads = 3, .kv_heads = 1, .head_dim = 24, .vocab = 259},
    {.dim = 288, .hidden = 768, .heads = 6, .kv_heads = 6, .head_dim = 48, .vocab = 32000},
    {.dim = 2560, .hidden = 6912, .heads = 32, .kv_heads = 32, .head_dim = 80, .vocab = 50257},
    {.dim = 192, .hidden = 512, .heads = 8, .kv_heads = 2, .head_dim = 24, .vocab = 1000},
    {.dim = 4096, .hidden = 14336, .heads = 32, .kv_heads = 8, .head_dim = 128, .vocab = 128256},
    {.dim = 2048, .hidden = 5632, .heads = 32, .kv_heads = 4, .head_dim = 64, .vocab = 32003},
    {.dim = MODEL_DIM_MAX, .hidden = MODEL_DIM_MAX, .heads = 8192, .kv_heads = 64, .head_dim = 128, .vocab = MODEL_VOCAB_MAX},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static uint32_t blocks_of(uint64_t rows)
{
    return (uint32_t)((rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
}

/* Checks one map of a shape for every number of ranks, with equal and with random shares. */
static void for_each_map(void (*check)(const struct rowmap *map, const struct model *model))
{
    for (uint16_t s = 0; s < SHAPES; s++) {
        for (uint16_t ranks = 1; ranks <= MESH_RANKS_MAX; ranks = (uint16_t)(ranks + (ranks < 12 ? 1 : 13))) {
            uint32_t shares[MESH_RANKS_MAX];
            struct rowmap map;
            struct fail fail;

            assert_int_equal(rowmap_init(&map, &shapes[s], equal, ranks, &fail), 0);
            check(&map, &shapes[s]);
            draw_shares(s * 64u + ranks, ranks, shares);
            assert_int_equal(rowmap_init(&map, &shapes[s], shares, ranks, &fail), 0);
            assert_memory_equal(map.share, shares, ranks * sizeof *shares);
            check(&map, &shapes[s]);
        }
    }
}

static void check_whole(const struct rowmap *map, const struct model *model)
{
    uint16_t n = map->rank_count;

    assert_int_equal(map->x[0] | map->h[0] | map->z[0] | map->heads[0] | map->vocab[0], 0);
    assert_int_equal(map->x[n], blocks_of(model->dim));
    assert_int_equal(map->h[n], blocks_of(model->hidden));
    assert_int_equal(map->z[n], blocks_of((uint64_t)model->heads * model->head_dim));
    assert_int_equal(map->heads[n], model->heads);
    assert_int_equal(map->vocab[n], model->vocab);
    for (uint16_t r = 0; r < n; r++) {
        assert_true(map->x[r] <= map->x[r + 1] && map->h[r] <= map->h[r + 1] && map->z[r] <= map->z[r + 1]);
        assert_true(map->heads[r] <= map->heads[r + 1] && map->vocab[r] <= map->vocab[r + 1]);
    }
}

static void a_map_covers_every_dimension(void **state)
{
    (void)state;
    for_each_map(check_whole);
}

static void check_heads(const struct rowmap *map, const struct model *model)
{
    for (uint16_t r = 0; r < map->rank_count; r++) {
        assert_int_equal(map->z[r], blocks_of((uint64_t)map->heads[r] * model->head_dim));
        assert_true(map->heads[r] == model->heads || map->heads[r] * model->head_dim % BLOCK_COLUMNS == 0);
        assert_true(map->vocab[r] == model->vocab || map->vocab[r] % BLOCK_COLUMNS == 0);
        assert_true((map->heads[r] == map->heads[r + 1]) == (map->z[r] == map->z[r + 1]));
    }
}

static void heads_are_dealt_in_groups_of_whole_blocks(void **state)
{
    (void)state;
    for_each_map(check_heads);
}

static void check_kv_heads(const struct rowmap *map, const struct model *model)
{
    uint32_t per_kv = model->heads / model->kv_heads;

    for (uint16_t r = 0; r < map->rank_count; r++) {
        uint32_t first, count;

        rowmap_kv_heads(map, model, r, &first, &count);
        if (map->heads[r] == map->heads[r + 1]) {
            assert_int_equal(count, 0);
            continue;
        }
        assert_true(first + count <= model->kv_heads);
        assert_true(first * per_kv <= map->heads[r] && map->heads[r] < (first + 1) * per_kv);
        assert_true((first + count) * per_kv >= map->heads[r + 1] && (first + count - 1) * per_kv < map->heads[r + 1]);
    }
}

static void a_rank_has_exactly_the_kv_heads_of_its_query_heads(void **state)
{
    (void)state;
    for_each_map(check_kv_heads);
}

static void head_sizes_that_are_no_block_are_grouped(void **state)
{
    static const struct {
        uint32_t head_dim, group;
    } cases[] = {{80, 2}, {48, 2}, {24, 4}, {64, 1}, {1, 32}, {33, 32}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model model = {.dim = 320, .hidden = 320, .heads = 96, .kv_heads = 96, .head_dim = cases[i].head_dim, .vocab = 320};
        struct rowmap map;
        struct fail fail;

        assert_int_equal(rowmap_init(&map, &model, equal, 7, &fail), 0);
        for (uint16_t r = 0; r <= 7; r++)
            assert_int_equal(map.heads[r] % cases[i].group, 0);
    }
}

static void more_ranks_than_kv_heads_divide_a_kv_head(void **state)
{
    const struct model model = {.dim = 512, .hidden = 512, .heads = 16, .kv_heads = 2, .head_dim = 32, .vocab = 512};
    struct rowmap map;
    struct fail fail;
    uint32_t first, count;

    (void)state;
    assert_int_equal(rowmap_init(&map, &model, equal, 8, &fail), 0);
    for (uint16_t r = 0; r < 8; r++) {
        rowmap_kv_heads(&map, &model, r, &first, &count);
        assert_int_equal(map.heads[r + 1] - map.heads[r], 2);
        assert_int_equal(first, r / 4);
        assert_int_equal(count, 1);
    }
}

static void whole_kv_heads_are_preferred_where_that_costs_little(void **state)
{
    /* 256 heads of 8 to a KV head; a third is 85.33 heads, and the slack 3. */
    const struct model model = {.dim = 512, .hidden = 512, .heads = 256, .kv_heads = 32, .head_dim = 64, .vocab = 512};
    struct rowmap map;
    struct fail fail;

    (void)state;
    assert_int_equal(rowmap_init(&map, &model, equal, 3, &fail), 0);
    assert_int_equal(map.heads[1], 88);
    assert_int_equal(map.heads[2], 168);
}

static void shares_that_are_all_zero_are_refused(void **state)
{
    static const uint32_t none[3] = {0};
    struct rowmap map;
    struct fail fail;

    (void)state;
    assert_int_equal(rowmap_init(&map, &shapes[2], none, 3, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_string_equal(fail.text, "--shares: all are 0: no node would compute: give at least one node a share");
}

/* Members go on computing with the matrices they have only then. */
static void two_maps_are_the_same_if_all_ranks_compute_the_same_rows(void **state)
{
    const struct rowmap map = {
        .rank_count = 2, .share = {1, 2}, .x = {0, 4, 8}, .h = {0, 6, 12}, .z = {0, 2, 8}, .heads = {0, 1, 4}, .vocab = {0, 96, 320}};

    (void)state;
    for (unsigned what = 0; what < 8; what++) {
        struct rowmap other = map;

        other.rank_count = (uint16_t)(map.rank_count - (what == 1));
        other.x[1] = (uint16_t)(map.x[1] + (what == 2));
        other.h[1] = (uint16_t)(map.h[1] + (what == 3));
        other.z[1] = (uint16_t)(map.z[1] + (what == 4));
        other.heads[1] += what == 5;
        other.vocab[1] += what == 6 ? 32 : 0;
        other.vocab[2] += what == 7 ? 32 : 0;
        other.share[1] = 3; /* other shares may give the same rows */
        assert_int_equal(rowmap_is_same(&map, &other), what == 0);
        assert_int_equal(rowmap_is_same(&other, &map), what == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_is_dealt_once_and_in_rank_order),
        cmocka_unit_test(a_share_of_zero_gets_nothing),
        cmocka_unit_test(units_are_dealt_in_proportion),
        cmocka_unit_test(boundaries_move_to_the_preferred_multiple_only_when_it_is_near),
        cmocka_unit_test(equal_shares_of_whole_slices_end_at_slices),
        cmocka_unit_test(a_common_factor_of_the_shares_changes_nothing),
        cmocka_unit_test(the_largest_shares_do_not_overflow),
        cmocka_unit_test(a_map_covers_every_dimension),
        cmocka_unit_test(heads_are_dealt_in_groups_of_whole_blocks),
        cmocka_unit_test(a_rank_has_exactly_the_kv_heads_of_its_query_heads),
        cmocka_unit_test(head_sizes_that_are_no_block_are_grouped),
        cmocka_unit_test(more_ranks_than_kv_heads_divide_a_kv_head),
        cmocka_unit_test(whole_kv_heads_are_preferred_where_that_costs_little),
        cmocka_unit_test(shares_that_are_all_zero_are_refused),
        cmocka_unit_test(two_maps_are_the_same_if_all_ranks_compute_the_same_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
