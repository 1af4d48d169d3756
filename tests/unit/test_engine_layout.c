/* How the engine lays out a node's share: together the nodes hold every row of every tensor, and gathers match their readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/engine_layout.h"
#include "simmodel.h"

enum { BATCH = 70, CTX = 100, WORKERS = 3, SLOTS = 5 };

static const struct synth_options shapes[] = {
    {.dim = 288, .hidden = 480, .layers = 2, .heads = 6, .kv_heads = 2, .vocab = 300, .context = 128, .type = TYPE_Q4_0, .seed = 1},
    {.dim = 160, .hidden = 352, .layers = 1, .heads = 2, .kv_heads = 2, .vocab = 333, .context = 128, .type = TYPE_F16, .seed = 2},
    {.dim = 768, .hidden = 2048, .layers = 1, .heads = 32, .kv_heads = 4, .vocab = 1000, .context = 128, .type = TYPE_Q8_0, .seed = 3},
    {.dim = 256, .hidden = 512, .layers = 1, .heads = 4, .kv_heads = 2, .vocab = 300, .context = 128, .type = TYPE_Q6_K, .seed = 4},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct simmodel models[SHAPES];

static int open_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++)
        simmodel_open(&models[i], &shapes[i]);
    return 0;
}

static int close_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++)
        simmodel_close(&models[i]);
    return 0;
}

/* Every rank of a mesh of the model, one after another. */
static void for_each_engine(const struct model *model, const uint32_t *shares, uint16_t ranks, uint16_t workers,
                            void (*check)(const struct engine *e, void *app), void *app)
{
    struct rowmap map;
    struct fail fail;

    assert_int_equal(rowmap_init(&map, model, shares, ranks, &fail), 0);
    for (uint16_t r = 0; r < ranks; r++) {
        const struct engine_config config = {
            .model = model,
            .map = &map,
            .rank = r,
            .worker_count = workers,
            .batch = BATCH,
            .slots = SLOTS,
            .ctx = CTX,
            .kv_type = KV_F16,
            .kernel = kernel_choose(NULL),
        };
        struct engine *e = engine_open(&config, NULL, &fail);

        assert_non_null(e);
        check(e, app);
        engine_close(e);
    }
}

static void for_each_mesh(void (*check)(const struct engine *e, void *app))
{
    static const uint32_t shares[][7] = {{1, 1, 1, 1, 1, 1, 1}, {5, 0, 1, 3, 1, 0, 2}, {0, 1, 0, 0, 100, 1, 1}};

    for (size_t i = 0; i < SHAPES; i++)
        for (size_t s = 0; s < sizeof shares / sizeof *shares; s++)
            for (uint16_t ranks = 2; ranks <= 7; ranks++)
                for (uint16_t workers = 1; workers <= WORKERS; workers += WORKERS - 1)
                    for_each_engine(models[i].model, shares[s], ranks, workers, check, NULL);
}

/* ---- rows ---- */

/* How many nodes hold each row of each tensor. */
struct cover {
    const struct gguf *gguf;
    uint8_t *rows[64];
};

static size_t index_of(const struct gguf *gguf, const struct gguf_tensor *tensor)
{
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++)
        if (gguf_tensor_at(gguf, i) == tensor)
            return i;
    fail_msg("a tensor that is not of the file");
    return 0;
}

static void add_rows(const struct engine *e, void *app)
{
    struct cover *cover = app;

    for (uint16_t p = 0; p < e->phase_count; p++) {
        const struct matrix *m = e->phase[p].matrix;

        for (uint32_t g = 0; g < m->group_count; g++) {
            uint8_t *rows = cover->rows[index_of(cover->gguf, m->group[g].tensor)];

            assert_true(m->group[g].row_first + m->group[g].row_count <= m->group[g].tensor->dims[1]);
            for (uint32_t i = 0; i < m->group[g].row_count; i++)
                rows[m->group[g].row_first + i]++;
        }
    }
}

static bool name_has(const struct gguf_tensor *tensor, const char *part)
{
    return memmem(tensor->name.text, tensor->name.size, part, strlen(part)) != NULL;
}

static void check_cover(const struct gguf_tensor *tensor, const uint8_t *rows)
{
    bool is_shared = name_has(tensor, "attn_k.") || name_has(tensor, "attn_v.");
    bool is_left_out = tensor->dims[1] == 1 || name_has(tensor, "token_embd");

    for (uint64_t r = 0; r < tensor->dims[1]; r++) {
        if (is_left_out)
            assert_int_equal(rows[r], 0);
        else if (is_shared)
            assert_true(rows[r] >= 1);
        else
            assert_int_equal(rows[r], 1);
    }
}

static void check_mesh_holds_every_row(const struct simmodel *sim, const uint32_t *shares, uint16_t ranks)
{
    struct cover cover = {.gguf = sim->gguf};
    size_t count = gguf_tensor_count(sim->gguf);

    assert_true(count <= sizeof cover.rows / sizeof *cover.rows);
    for (size_t i = 0; i < count; i++) {
        cover.rows[i] = calloc(1, gguf_tensor_at(sim->gguf, i)->dims[1]);
        assert_non_null(cover.rows[i]);
    }
    for_each_engine(sim->model, shares, ranks, WORKERS, add_rows, &cover);
    for (size_t i = 0; i < count; i++) {
        check_cover(gguf_tensor_at(sim->gguf, i), cover.rows[i]);
        free(cover.rows[i]);
    }
}

static void all_nodes_together_hold_every_row_once(void **state)
{
    static const uint32_t equal[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, odd[9] = {7, 0, 1, 3, 0, 0, 12, 1, 0};

    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        for (uint16_t ranks = 1; ranks <= 9; ranks++) {
            check_mesh_holds_every_row(&models[i], equal, ranks);
            check_mesh_holds_every_row(&models[i], odd, ranks);
        }
    }
}

/* ---- tiles ---- */

static void check_tiles(const struct engine *e, void *app)
{
    (void)app;
    for (uint16_t p = 0; p < e->phase_count; p++) {
        const struct phase *phase = &e->phase[p];
        uint32_t groups = 0;

        for (uint32_t t = 0; t < phase->matrix->tile_count; t++) {
            const struct matrix_tile *tile = &phase->matrix->tile[t];

            assert_int_equal(tile->row_first % BLOCK_COLUMNS, 0);
            assert_true(tile->row_count >= 1 && tile->row_count <= TILE_ROWS_MAX);
            assert_true(tile->group_count * PANEL_ROWS <= TILE_FLOATS_MAX);
            assert_int_equal(tile->group_first, groups);
            groups += tile->group_count;
        }
        assert_int_equal(groups, phase->matrix->group_count);
        assert_true(phase->matrix->tile_count <= e->eager_tiles);
        assert_true(phase->matrix->tile_count == 0 || phase->send_blocks >= 1);
        if (phase->kind == PHASE_WO)
            assert_int_equal(phase->matrix->tile_rows,
                             engine_tile_rows(PHASE_WO, e->x_rows, e->config.worker_count, e->config.map->rank_count));
    }
}

static void tiles_cover_the_rows_and_fit_a_workers_sums(void **state)
{
    (void)state;
    for_each_mesh(check_tiles);
}

static void a_tile_is_as_large_as_pays(void **state)
{
    (void)state;
    for (int kind = 0; kind < PHASE_KINDS; kind++) {
        for (uint16_t workers = 1; workers <= 64; workers++) {
            uint32_t before = 0;

            for (uint32_t rows = 0; rows <= 20000; rows += 37) {
                const uint32_t tile = engine_tile_rows((enum phase_kind)kind, rows, workers, 3);

                assert_true(tile % BLOCK_COLUMNS == 0 && tile >= BLOCK_COLUMNS && tile >= before);
                assert_true(tile <= TILE_ROWS_MAX && tile * (kind == PHASE_GATE_UP ? 2 : 1) <= TILE_FLOATS_MAX);
                assert_true(tile <= engine_tile_rows((enum phase_kind)kind, rows, 1, 3));
                /* enough for every worker, if that is possible */
                assert_true(workers == 1 || tile == BLOCK_COLUMNS || rows >= 2 * workers * (tile - BLOCK_COLUMNS));
                before = tile;
            }
        }
    }
}

static void large_tiles_are_of_wo_where_others_wait_for_one_worker(void **state)
{
    (void)state;
    assert_int_equal(engine_tile_rows(PHASE_WO, 256, 1, 8), 256);
    assert_int_equal(engine_tile_rows(PHASE_WO, 255, 1, 8), 128);
    assert_int_equal(engine_tile_rows(PHASE_WO, 2048, 1, 1), 128);
    assert_int_equal(engine_tile_rows(PHASE_WO, 2048, 2, 8), 128);
    assert_int_equal(engine_tile_rows(PHASE_DOWN, 2048, 1, 8), 128);
}

/* ---- gathers ---- */

static void check_reads(const struct gather_form *form, const struct matrix *reader)
{
    assert_int_equal(form->columns, reader->columns);
    assert_int_equal(form->slices, reader->slices);
    assert_true(!reader->reads_quantised || form->unpack_q);
    assert_true(!reader->reads_float || (form->unpack_f && form->is_float));
    for (uint32_t g = 0; g < reader->group_count && form->unpack_panels; g++) {
        const struct kernel_tokens *tokens = kernel_choose(NULL)->tokens;

        assert_true(tokens->dot[reader->group[g].tensor->type] != NULL);
        assert_true(form->unpack_halves || !tokens->reads_halves[reader->group[g].tensor->type]);
    }
}

static void check_gathers(const struct engine *e, void *app)
{
    const struct rowmap *map = e->config.map;

    (void)app;
    check_reads(&e->embed_form, e->phase[0].matrix);
    for (uint16_t p = 0; p + 1 < e->phase_count; p++) {
        const struct gather_form *form = &e->phase[p].form;
        bool feeds_norm = e->phase[p].kind == PHASE_WO || e->phase[p].kind == PHASE_DOWN;

        check_reads(form, e->phase[p + 1].matrix);
        assert_int_equal(form->feeds_norm, feeds_norm);
        assert_int_equal(form->first[0], 0);
        assert_int_equal(form->first[map->rank_count], form->block_count);
        assert_int_equal(form->block_count, (form->columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
        assert_true(form->last_block_bytes >= 1 && form->last_block_bytes <= form->block_bytes);
        assert_true(form->block_bytes <= MESH_BLOCK_BYTES_MAX);
        assert_true((size_t)BATCH * form->block_count * form->block_bytes <= e->inbox_limits.wire_bytes);
        assert_true(form->slices <= e->inbox_limits.slices && form->slices <= e->slices_max);
        assert_true((!form->unpack_q || e->inbox_limits.q) && (!form->unpack_f || e->inbox_limits.f));
    }
    assert_true(engine_candidate_bytes_max(e) <= e->inbox_limits.wire_bytes);
}

static void gathers_carry_what_the_next_phase_reads(void **state)
{
    (void)state;
    for_each_mesh(check_gathers);
}

static void check_readers(const struct engine *e, void *app)
{
    uint64_t all = (UINT64_C(1) << e->config.map->rank_count) - 1, mine = UINT64_C(1) << e->config.rank;

    (void)app;
    for (uint16_t p = 0; p + 1 < e->phase_count; p++) {
        assert_true(e->phase[p].readers != 0 && (e->phase[p].readers & ~all) == 0);
        assert_int_equal((e->phase[p].readers & mine) != 0, e->phase[p + 1].matrix->group_count > 0);
    }
    assert_true(e->phase[e->phase_count - 1].readers == all);
}

static void who_has_rows_in_the_next_phase_reads_a_gather_and_all_read_candidates(void **state)
{
    (void)state;
    for_each_mesh(check_readers);
}

/* ---- how finely results are sent ---- */

/* The header's formula with the constant of the source: 4 µs per datagram. */
static double cost_ns(uint32_t runs, double c, double latency, double n)
{
    double wait = latency - c * (1 / n + (1 - 1 / n) * (1 - 1.0 / runs));

    return runs * 4000 * (n - 1) + (wait > 0 ? wait : 0);
}

static void as_many_runs_are_sent_as_cost_least(void **state)
{
    (void)state;
    for (uint16_t n = 1; n <= MESH_RANKS_MAX; n++) {
        for (uint64_t c = 0; c < 1000000; c = c * 5 / 4 + 100) {
            uint64_t latency = 10000 + c % 300000;
            uint32_t runs = engine_send_runs(c, latency, n);

            assert_true(runs >= 1 && runs <= 8);
            for (uint32_t k = 1; k <= 8; k++)
                assert_true(cost_ns(runs, (double)c, (double)latency, n) <= cost_ns(k, (double)c, (double)latency, n));
        }
    }
    assert_int_equal(engine_send_runs(60000, 60000, 2), 3);
}

static void a_run_is_enough_where_nothing_is_to_be_hidden(void **state)
{
    (void)state;
    assert_int_equal(engine_send_runs(1000000, 60000, 1), 1);
    assert_int_equal(engine_send_runs(UINT64_C(10000000000), 60000, 2), 1);
    assert_int_equal(engine_send_runs(0, 60000, 2), 1);
    assert_int_equal(engine_send_runs(20000, 60000, 64), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_nodes_together_hold_every_row_once),
        cmocka_unit_test(tiles_cover_the_rows_and_fit_a_workers_sums),
        cmocka_unit_test(a_tile_is_as_large_as_pays),
        cmocka_unit_test(large_tiles_are_of_wo_where_others_wait_for_one_worker),
        cmocka_unit_test(gathers_carry_what_the_next_phase_reads),
        cmocka_unit_test(who_has_rows_in_the_next_phase_reads_a_gather_and_all_read_candidates),
        cmocka_unit_test(as_many_runs_are_sent_as_cost_least),
        cmocka_unit_test(a_run_is_enough_where_nothing_is_to_be_hidden),
    };

    return cmocka_run_group_tests(tests, open_models, close_models);
}
