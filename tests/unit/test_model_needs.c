/* Which chunks of its file a node reads: exactly those of the rows that its engine lays out, and of what every node reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/engine_layout.h"
#include "node/engine/model_needs.h"
#include "simmodel.h"

static const struct synth_options shape = {
    .dim = 768, .hidden = 2080, .layers = 2, .heads = 12, .kv_heads = 4, .vocab = 3000, .context = 64, .type = TYPE_F16, .seed = 3};

static struct simmodel sim;
static uint32_t count; /* chunks */

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&sim, &shape);
    count = model_chunk_count(gguf_file_bytes(sim.model->gguf));
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&sim);
    return 0;
}

static uint8_t *no_chunks(void)
{
    uint8_t *chunks = calloc(count, 1);

    assert_non_null(chunks);
    return chunks;
}

/* Marks the chunks of all groups of rows of an engine, byte by byte at their beginnings and ends. */
static void mark_engine(const struct rowmap *map, uint16_t rank, uint8_t *chunks)
{
    const struct engine_config config = {.model = sim.model,
                                         .map = map,
                                         .rank = rank,
                                         .worker_count = 2,
                                         .batch = 8,
                                         .slots = 1,
                                         .ctx = 64,
                                         .kv_type = KV_F16,
                                         .kernel = kernel_choose(NULL)};
    struct fail fail;
    struct engine *e = engine_open(&config, NULL, &fail);

    assert_non_null(e);
    for (uint16_t p = 0; p < e->phase_count; p++)
        for (uint32_t g = 0; g < e->phase[p].matrix->group_count; g++) {
            const struct matrix_group *group = &e->phase[p].matrix->group[g];
            const uint64_t bytes = model_row_bytes(group->tensor);
            const uint64_t first = gguf_offset(sim.model->gguf, group->tensor->data) + group->row_first * bytes;

            chunks[first / MODEL_CHUNK_BYTES] = 1;
            chunks[(first + group->row_count * bytes - 1) / MODEL_CHUNK_BYTES] = 1;
        }
    engine_close(e);
}

static void a_rank_needs_the_chunks_that_its_engine_reads_and_no_others(void **state)
{
    static const uint32_t shares[][3] = {{1, 1, 1}, {5, 1, 2}, {1, 0, 3}, {0, 0, 1}};
    struct fail fail;

    (void)state;
    assert_in_range(count, 20, 200);
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        struct rowmap map;

        assert_int_equal(rowmap_init(&map, sim.model, shares[s], 3, &fail), 0);
        for (uint16_t rank = 0; rank < 3; rank++) {
            uint8_t *needed = no_chunks(), *read = no_chunks();

            model_needs_rows(sim.model, &map, rank, needed);
            mark_engine(&map, rank, read);
            assert_memory_equal(needed, read, count);
            free(needed);
            free(read);
        }
    }
}

/* Returns the number of vectors. */
static uint32_t check_common(const struct model *model)
{
    const struct gguf *gguf = model->gguf;
    const struct gguf_tensor *embedding = model->token_embd;
    const uint64_t first = gguf_offset(gguf, embedding->data);
    uint8_t *common = calloc(model_chunk_count(gguf_file_bytes(gguf)), 1);
    uint32_t vectors = 0;

    assert_non_null(common);
    model_needs_common(model, common);
    assert_int_equal(common[0], 1);
    assert_int_equal(common[gguf_data_start(gguf) / MODEL_CHUNK_BYTES], 1);
    for (uint64_t at = first; at < first + embedding->data_size; at += 1000)
        assert_int_equal(common[at / MODEL_CHUNK_BYTES], 1);
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);

        if (tensor->dims[1] > 1)
            continue;
        assert_int_equal(common[gguf_offset(gguf, tensor->data) / MODEL_CHUNK_BYTES], 1);
        vectors++;
    }
    free(common);
    return vectors;
}

static void everybody_needs_head_embedding_and_vectors(void **state)
{
    static const struct {
        const char *architecture;
        uint32_t vectors; /* of a layer */
    } cases[] = {{"llama", 2}, {"qwen2", 5}, {"qwen3", 4}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct synth_options options = shape;
        struct simmodel other;

        options.architecture = cases[i].architecture;
        simmodel_open(&other, &options);
        assert_int_equal(check_common(other.model), cases[i].vectors * options.layers + 1);
        simmodel_close(&other);
    }
}

static void all_rows_are_on_as_many_disks_as_have_the_rarest_chunk(void **state)
{
    static const uint32_t shares[3] = {1, 1, 1};
    struct rowmap map;
    struct fail fail;

    (void)state;
    assert_int_equal(rowmap_init(&map, sim.model, shares, 3, &fail), 0);
    assert_int_equal(model_needs_disks(sim.model, &map, 0), 1);
    assert_int_equal(model_needs_disks(sim.model, &map, 1), 1); /* no other node has its rows */
    assert_int_equal(model_needs_disks(sim.model, &map, 5), 2);
    assert_int_equal(model_needs_disks(sim.model, &map, 7), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_needs_the_chunks_that_its_engine_reads_and_no_others),
        cmocka_unit_test(everybody_needs_head_embedding_and_vectors),
        cmocka_unit_test(all_rows_are_on_as_many_disks_as_have_the_rarest_chunk),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
