/* What every node would hold: sums of rows and bytes over a mesh, and the report as text and as JSON. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/model_needs.h"
#include "node/engine/plan.h"
#include "node/kernel/kernel.h"
#include "simmodel.h"

enum { LAYERS = 2, CTX = 256, LINE_BYTES = 600 };

/* Panels of whole 256 columns have as many bytes as the file's rows, so sums are known exactly. */
static const struct synth_options shape = {
    .dim = 512, .hidden = 768, .layers = LAYERS, .heads = 8, .kv_heads = 4, .vocab = 320, .context = 512, .type = TYPE_Q8_0, .seed = 5};
static struct simmodel sim;

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&sim, &shape);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&sim);
    return 0;
}

static struct plan make_plan(const uint32_t *shares, uint16_t ranks)
{
    struct plan plan = {.model = sim.model, .ctx = CTX, .batch = 32, .threads = 2, .slots = 1, .kv_type = KV_F16};
    struct fail fail;

    assert_int_equal(rowmap_init(&plan.map, sim.model, shares, ranks, &fail), 0);
    assert_int_equal(plan_make(&plan, &fail), 0);
    return plan;
}

static const uint32_t shares[][6] = {{1, 1, 1, 1, 1, 1}, {4, 0, 1, 2, 9, 1}};

/* Bytes of all matrices that are multiplied: all tensors except norms and the embedding. */
static uint64_t matrix_bytes(void)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < gguf_tensor_count(sim.gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(sim.gguf, i);

        if (t->dims[1] > 1 && t != sim.model->token_embd)
            bytes += t->data_size;
    }
    return bytes;
}

static void rows_and_heads_add_up_to_the_model(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        for (uint16_t ranks = 1; ranks <= 6; ranks++) {
            struct plan plan = make_plan(shares[s], ranks);
            uint32_t x = 0, h = 0, vocab = 0, heads = 0, kv_heads = 0;

            for (uint16_t r = 0; r < ranks; r++) {
                assert_int_equal(plan.node[r].share, shares[s][r]);
                x += plan.node[r].x_rows;
                h += plan.node[r].h_rows;
                vocab += plan.node[r].vocab_rows;
                heads += plan.node[r].heads;
                kv_heads += plan.node[r].kv_heads;
            }
            assert_int_equal(x, shape.dim);
            assert_int_equal(h, shape.hidden);
            assert_int_equal(vocab, shape.vocab);
            assert_int_equal(heads, shape.heads);
            assert_true(kv_heads >= shape.kv_heads);
        }
    }
}

static void weights_add_up_to_the_file_and_the_kv_heads_that_are_held_twice(void **state)
{
    uint32_t head_dim = shape.dim / shape.heads;
    uint64_t kv_head = LAYERS * 2 * (uint64_t)head_dim * tensor_type_bytes(TYPE_Q8_0, shape.dim);

    (void)state;
    assert_ptr_not_equal(sim.model->output, sim.model->token_embd);
    for (size_t s = 0; s < 2; s++) {
        for (uint16_t ranks = 1; ranks <= 6; ranks++) {
            struct plan plan = make_plan(shares[s], ranks);
            uint64_t weights = 0, kv_heads = 0;

            for (uint16_t r = 0; r < ranks; r++) {
                weights += plan.node[r].memory.weight_bytes - PANEL_PREFETCH_BYTES;
                kv_heads += plan.node[r].kv_heads;
            }
            assert_true(weights == matrix_bytes() + (kv_heads - shape.kv_heads) * kv_head);
        }
    }
}

static void the_kv_cache_is_that_of_the_own_kv_heads(void **state)
{
    struct plan plan = make_plan(shares[1], 6);

    (void)state;
    for (uint16_t r = 0; r < 6; r++)
        assert_true(plan.node[r].memory.kv_bytes ==
                    2 * LAYERS * plan.node[r].kv_heads * (uint64_t)kernel_kv_bytes(KV_F16, shape.dim / shape.heads, CTX));
}

static void every_slot_has_a_kv_cache(void **state)
{
    struct plan one = make_plan(shares[1], 6), plan = make_plan(shares[1], 6);
    struct fail fail;

    (void)state;
    plan.slots = 8;
    assert_int_equal(plan_make(&plan, &fail), 0);
    for (uint16_t r = 0; r < 6; r++) {
        assert_true(plan.node[r].memory.kv_bytes == 8 * one.node[r].memory.kv_bytes);
        assert_true(plan.node[r].memory.weight_bytes == one.node[r].memory.weight_bytes);
        assert_true(plan.node[r].memory.buffer_bytes > one.node[r].memory.buffer_bytes);
    }
}

/* The remaining nodes' largest figures, whichever node is missing: here without the one with share 9 of {4, 0, 1, 2, 9, 1}. */
static void one_node_fewer_is_what_the_others_hold_without_the_largest(void **state)
{
    static const uint32_t without[] = {4, 0, 1, 2, 1}, alone[] = {0, 1};
    struct plan plan = make_plan(shares[1], 6), fewer = make_plan(without, 5), single = make_plan(alone, 2);
    const struct engine_memory *most = &fewer.node[0].memory;

    (void)state;
    assert_true(plan.fewer_bytes >= most->weight_bytes + most->kv_bytes + most->buffer_bytes);
    plan.available_bytes = plan.fewer_bytes;
    assert_true(plan_fits_on_one_fewer(&plan));
    plan.available_bytes--;
    assert_false(plan_fits_on_one_fewer(&plan));
    assert_true(single.fewer_bytes == UINT64_MAX);
    assert_false(plan_fits_on_one_fewer(&single));
    single = make_plan(alone + 1, 1);
    assert_false(plan_fits_on_one_fewer(&single));
}

static uint64_t total_of(const struct plan_node *node)
{
    return node->memory.weight_bytes + node->memory.kv_bytes + node->memory.buffer_bytes;
}

static void one_node_fewer_is_the_worst_of_all_losses(void **state)
{
    for (size_t s = 0; s < 2; s++)
        for (uint16_t ranks = 3; ranks <= 6; ranks++) {
            uint64_t largest = 0;

            for (uint16_t gone = 0; gone < ranks; gone++) {
                uint32_t left[6];
                uint16_t count = 0;
                struct plan fewer;

                for (uint16_t r = 0; r < ranks; r++)
                    if (r != gone)
                        left[count++] = shares[s][r];
                fewer = make_plan(left, count);
                for (uint16_t r = 0; r < count; r++)
                    largest = total_of(&fewer.node[r]) > largest ? total_of(&fewer.node[r]) : largest;
            }
            assert_int_equal(make_plan(shares[s], ranks).fewer_bytes, largest);
        }
    (void)state;
}

static void smaller_keys_and_values_take_less_memory(void **state)
{
    struct plan plan = make_plan(shares[0], 2);
    struct fail fail;

    (void)state;
    plan.kv_type = KV_Q8_0;
    assert_int_equal(plan_make(&plan, &fail), 0);
    assert_int_equal(plan.node[0].memory.kv_bytes,
                     2 * LAYERS * plan.node[0].kv_heads * (uint64_t)kernel_kv_bytes(KV_Q8_0, shape.dim / shape.heads, CTX));
}

static void threads_and_batch_take_buffers(void **state)
{
    struct plan small = make_plan(shares[0], 2), plan = small;
    struct fail fail;

    (void)state;
    plan.threads = 4;
    assert_int_equal(plan_make(&plan, &fail), 0);
    assert_true(plan.node[0].memory.buffer_bytes > small.node[0].memory.buffer_bytes);
    plan = small;
    plan.batch = 64;
    assert_int_equal(plan_make(&plan, &fail), 0);
    assert_true(plan.node[0].memory.buffer_bytes > small.node[0].memory.buffer_bytes);
}

static void chunks_are_those_of_the_own_rows_and_of_what_all_read(void **state)
{
    const uint32_t count = model_chunk_count(gguf_file_bytes(sim.gguf));
    struct plan plan = make_plan(shares[1], 6);

    (void)state;
    assert_in_range(count, 3, 64);
    for (uint16_t r = 0; r < 6; r++) {
        uint8_t wanted[64] = {0};
        uint32_t expected = 0;

        model_needs_common(sim.model, wanted);
        model_needs_rows(sim.model, &plan.map, r, wanted);
        for (uint32_t i = 0; i < count; i++)
            expected += wanted[i];
        assert_int_equal(plan.node[r].chunks, expected);
    }
}

static void a_node_without_a_share_holds_no_weights_but_the_embedding(void **state)
{
    struct plan plan = make_plan(shares[1], 6);

    (void)state;
    assert_int_equal(plan.node[1].x_rows + plan.node[1].h_rows + plan.node[1].vocab_rows + plan.node[1].heads, 0);
    assert_true(plan.node[1].memory.weight_bytes == PANEL_PREFETCH_BYTES);
    assert_true(plan.node[1].memory.kv_bytes == 0);
    assert_true(plan.node[1].memory.buffer_bytes > 0);
    assert_true(plan.node[1].embedding_bytes == sim.model->token_embd->data_size);
}

/* ---- printing ---- */

static char *print(const struct plan *plan, bool json)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    plan_print(plan, json, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void node_line(const struct plan_node *n, unsigned rank, char line[LINE_BYTES])
{
    snprintf(line, LINE_BYTES,
             "{\"schema_version\":1,\"event\":\"node\",\"rank\":%u,\"share\":%u,\"heads\":%u,\"kv_heads\":%u,\"dim_rows\":%u,"
             "\"hidden_rows\":%u,\"vocab_rows\":%u,\"weight_bytes\":%" PRIu64 ",\"kv_bytes\":%" PRIu64 ",\"buffer_bytes\":%" PRIu64
             ",\"total_bytes\":%" PRIu64 ",\"mapped_embedding_bytes\":%" PRIu64 ",\"model_chunks\":%u}\n",
             rank, n->share, n->heads, n->kv_heads, n->x_rows, n->h_rows, n->vocab_rows, n->memory.weight_bytes, n->memory.kv_bytes,
             n->memory.buffer_bytes, total_of(n), n->embedding_bytes, n->chunks);
}

static void json_is_a_line_for_every_node_and_a_summary(void **state)
{
    struct plan plan = make_plan(shares[0], 3);
    char *text = print(&plan, true), *at = text, line[LINE_BYTES];
    uint64_t total = 0, largest = 0;

    (void)state;
    for (unsigned r = 0; r < 3; r++) {
        uint64_t bytes = total_of(&plan.node[r]);

        node_line(&plan.node[r], r, line);
        assert_true(strncmp(at, line, strlen(line)) == 0);
        at += strlen(line);
        total += bytes;
        largest = bytes > largest ? bytes : largest;
    }
    snprintf(line, sizeof line,
             "{\"schema_version\":1,\"event\":\"summary\",\"model\":\"%s\",\"nodes\":3,\"layers\":2,\"dim\":512,\"hidden\":768,\"heads\":8,"
             "\"kv_heads\":4,\"vocab\":320,\"ctx\":256,\"slots\":1,\"total_bytes\":%" PRIu64 ",\"largest_node_bytes\":%" PRIu64
             ",\"fits_on_one_fewer\":true,\"largest_node_bytes_on_one_fewer\":%" PRIu64 "}\n",
             gguf_path(sim.gguf), total, largest, plan.fewer_bytes);
    assert_string_equal(at, line);
    free(text);
}

static void words_are_a_heading_a_row_for_every_node_and_a_note(void **state)
{
    struct plan plan = make_plan(shares[1], 6);
    char *text = print(&plan, false);
    size_t lines = 0;

    (void)state;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 2 + 6 + 2);
    assert_non_null(strstr(text, ": 2 layers, dim 512, hidden 768, 8 heads on 4 KV heads, vocabulary 320; context 256\nrank"));
    assert_non_null(strstr(text, "\n   4      9 "));
    assert_non_null(strstr(text, "\nBesides, every node maps the token embedding (174 kB of the file)"));
    assert_non_null(strstr(text, "\nOne node fewer: a node then holds up to "));
    free(text);
}

static void json_of_a_node_alone_has_no_figure_for_fewer(void **state)
{
    struct plan alone = make_plan(shares[0], 1);
    char *text = print(&alone, true);

    (void)state;
    assert_non_null(strstr(text, "\"fits_on_one_fewer\":false}\n"));
    free(text);
}

static void expect_printed(const struct plan *plan, const char *part, bool is_there)
{
    char *text = print(plan, false);

    if ((strstr(text, part) != NULL) != is_there)
        fail_msg("\"%s\" is%s in: %s", part, is_there ? " not" : "", text);
    free(text);
}

static void words_say_what_happens_with_one_node_fewer(void **state)
{
    static const uint32_t only[] = {0, 1};
    struct plan plan = make_plan(shares[0], 2), alone = make_plan(shares[0], 1), single = make_plan(only, 2);

    (void)state;
    plan.available_bytes = plan.fewer_bytes;
    expect_printed(&plan, "the model fits.\n", true);
    plan.available_bytes--;
    expect_printed(&plan, "the model does not fit: add a node, or use a smaller model.\n", true);
    expect_printed(&single, "\nWhen the only node with a share goes, no node is left to compute: give others one.\n", true);
    expect_printed(&single, "One node fewer", false);
    expect_printed(&alone, "fewer", false);
    expect_printed(&alone, "When the only node", false);
    expect_printed(&alone, "requests", false);
    alone.slots = 2;
    expect_printed(&alone, "context 256 for each of 2 requests\nrank", true);
}

/* Each in its own column. */
static void words_show_the_memory_of_each_node(void **state)
{
    struct plan plan = make_plan(shares[0], 1);

    (void)state;
    plan.node[0].memory = (struct engine_memory){.weight_bytes = 1000000, .kv_bytes = 20000000, .buffer_bytes = 300000000};
    expect_printed(&plan, "    1.00 MB    20.0 MB     300 MB     321 MB\n", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_heads_add_up_to_the_model),
        cmocka_unit_test(weights_add_up_to_the_file_and_the_kv_heads_that_are_held_twice),
        cmocka_unit_test(the_kv_cache_is_that_of_the_own_kv_heads),
        cmocka_unit_test(every_slot_has_a_kv_cache),
        cmocka_unit_test(one_node_fewer_is_what_the_others_hold_without_the_largest),
        cmocka_unit_test(one_node_fewer_is_the_worst_of_all_losses),
        cmocka_unit_test(smaller_keys_and_values_take_less_memory),
        cmocka_unit_test(threads_and_batch_take_buffers),
        cmocka_unit_test(chunks_are_those_of_the_own_rows_and_of_what_all_read),
        cmocka_unit_test(json_of_a_node_alone_has_no_figure_for_fewer),
        cmocka_unit_test(words_say_what_happens_with_one_node_fewer),
        cmocka_unit_test(words_show_the_memory_of_each_node),
        cmocka_unit_test(a_node_without_a_share_holds_no_weights_but_the_embedding),
        cmocka_unit_test(json_is_a_line_for_every_node_and_a_summary),
        cmocka_unit_test(words_are_a_heading_a_row_for_every_node_and_a_note),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
