/* A recording recomputed by mesh-replay verify -m: what is equal, and how a changed weight, row map or token is named.
 * tests/traces/lossy.db is that of one of three nodes with the model that the project ships (made by
 * tests/tools/record-lossy). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/gguf/gguf.h"
#include "replay/compute.h"
#include "trace_case.h"

#define MODEL "node/models/stories-q8_0.gguf"
#define TRACE "tests/traces/lossy.db"

enum { Q8_0_BLOCK_BYTES = 34, Q8_0_BLOCK = 32 };

static char folder[64], changed_model[100], changed_trace[100];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_replay_compute.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(changed_model, sizeof changed_model, "%s/changed.gguf", folder);
    snprintf(changed_trace, sizeof changed_trace, "%s/changed.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(changed_model);
    unlink(changed_trace);
    rmdir(folder);
    return 0;
}

/* Changes one weight in the middle of a row. */
static void change_weight(const char *name, uint32_t row, uint32_t column)
{
    struct fail fail = {0};
    struct gguf *gguf = gguf_open(MODEL, &fail);
    const struct gguf_tensor *tensor = gguf == NULL ? NULL : gguf_find_tensor(gguf, name);
    uint8_t *bytes, *at;
    size_t size;

    assert_non_null(tensor);
    bytes = trace_case_load(MODEL, &size);
    at = memmem(bytes, size, tensor->data, tensor->data_size);
    assert_non_null(at);
    at += row * (tensor->dims[0] / Q8_0_BLOCK * Q8_0_BLOCK_BYTES) + column / Q8_0_BLOCK * Q8_0_BLOCK_BYTES + 2 + column % Q8_0_BLOCK;
    *at = (uint8_t)(*at ^ 0x40); /* by 64 of 127 */
    trace_case_store(changed_model, bytes, size);
    free(bytes);
    gguf_close(gguf);
}

static void compute(struct compute *computed, const char *model, const char *trace)
{
    const struct compute_options options = {.model = model, .threads = 2, .any_model = true};
    struct fail fail = {0};

    if (compute_run(computed, &options, &trace, 1, &fail) != 0)
        fail_msg("%s", fail.text);
}

static void the_kept_recording_is_computed_to_the_same_bits(void **state)
{
    struct compute computed;

    (void)state;
    compute(&computed, MODEL, TRACE);
    assert_int_equal(computed.count, 1);
    assert_int_equal(computed.cases[0].state, COMPUTE_SAME);
    assert_int_equal(computed.cases[0].steps, 6);
    assert_int_equal(computed.cases[0].tokens, 6);
    assert_in_range(computed.cases[0].tiles, 300, 400);
    assert_int_equal(computed.cases[0].tiles_not_compared, 0);
    assert_int_equal(computed.tokens_not_compared, 0);
    compute_release(&computed);
}

static void expect(const struct compute_case *one, const char *text)
{
    if (strstr(one->what, text) == NULL && (one->detail == NULL || strstr(one->detail, text) == NULL))
        fail_msg("%s is not in: %s\n%s", text, one->what, one->detail != NULL ? one->detail : "");
}

static void a_changed_weight_is_named_by_layer_matrix_and_row(void **state)
{
    static const struct {
        const char *tensor, *phase;
        uint32_t layer, row;
        const char *rows;
    } weights[] = {
        {"blk.0.ffn_down.weight", "down", 0, 70, ", row 70"},
        {"blk.3.ffn_down.weight", "down", 3, 200, ", among rows 192-223"}, /* less than one step of rounding */
        {"blk.1.ffn_gate.weight", "gate and up", 1, 0, ", row 0"},
        {"blk.2.ffn_up.weight", "gate and up", 2, 301, ", row 301"},
        {"blk.2.attn_output.weight", "attention output", 2, 131, ", row 131"},
        {"blk.1.attn_v.weight", "attention", 1, 40, ", row 72"}, /* among the outputs of heads that share keys and values */
    };

    (void)state;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        struct compute computed;
        char text[80];

        change_weight(weights[i].tensor, weights[i].row, 77);
        compute(&computed, changed_model, TRACE);
        assert_int_equal(computed.count, 1);
        assert_int_equal(computed.cases[0].state, COMPUTE_DIFFERS);
        expect(&computed.cases[0], weights[i].tensor);
        snprintf(text, sizeof text, "step 0, layer %" PRIu32 ", %s: ", weights[i].layer, weights[i].phase);
        expect(&computed.cases[0], text);
        expect(&computed.cases[0], weights[i].rows);
        expect(&computed.cases[0], "recorded by " TRACE ", call ");
        compute_release(&computed);
    }
}

/* ---- changed traces ---- */

struct change {
    const char *rows;  /* of the epoch; NULL: unchanged */
    uint64_t position; /* of the token whose id is changed; UINT64_MAX: none */
    bool drops_chunks; /* no tape */
    const char *payloads;
};

static void copy_meta(struct mesh_trace *from, struct mesh_trace *to, const struct change *change)
{
    static const char *const keys[] = {"source", "ids", "payloads", "model_fingerprint", "batch", "ctx", "kv_type"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char value[100];

        assert_int_equal(mesh_trace_get_meta(from, keys[i], value, sizeof value), 0);
        assert_int_equal(mesh_trace_set_meta(to, keys[i], value), 0);
    }
    if (change->payloads != NULL)
        assert_int_equal(mesh_trace_set_meta(to, "payloads", change->payloads), 0);
}

static void copy_chunks(struct mesh_trace *from, struct mesh_trace *to)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk row;

    assert_int_equal(mesh_trace_read(from, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &row) == 1) {
        uint8_t *records = malloc(row.bytes);

        assert_non_null(records);
        assert_int_equal(mesh_trace_get_chunk(from, &row, records), 0);
        assert_int_equal(mesh_trace_add_chunk(to, &row, records, row.bytes, NULL), 0);
        free(records);
    }
    mesh_trace_end(cursor);
}

static void copy_rows(struct mesh_trace *from, struct mesh_trace *to, const struct change *change)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_epoch epoch;
    struct mesh_trace_token token;
    struct mesh_trace_request request;

    assert_int_equal(mesh_trace_read(from, MESH_TRACE_TABLE_EPOCH, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &epoch) == 1) {
        epoch.rows = change->rows != NULL ? change->rows : epoch.rows;
        assert_int_equal(mesh_trace_add_row_epoch(to, &epoch, NULL), 0);
    }
    mesh_trace_end(cursor);
    assert_int_equal(mesh_trace_read(from, MESH_TRACE_TABLE_TOKEN, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &token) == 1) {
        token.token += token.position == change->position;
        assert_int_equal(mesh_trace_add_row_token(to, &token, NULL), 0);
    }
    mesh_trace_end(cursor);
    assert_int_equal(mesh_trace_read(from, MESH_TRACE_TABLE_REQUEST, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &request) == 1)
        assert_int_equal(mesh_trace_add_row_request(to, &request, NULL), 0);
    mesh_trace_end(cursor);
}

static void change_trace(const struct change *change)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *from, *to;

    unlink(changed_trace);
    assert_int_equal(mesh_trace_open(&from, TRACE, reason), 0);
    assert_int_equal(mesh_trace_create(&to, changed_trace, reason), 0);
    copy_meta(from, to, change);
    if (!change->drops_chunks)
        copy_chunks(from, to);
    copy_rows(from, to, change);
    mesh_trace_close(to);
    mesh_trace_close(from);
}

static void another_row_map_is_named_with_its_ranks(void **state)
{
    const struct change change = {.rows = "{\"shares\":[2,1,1]}", .position = UINT64_MAX};
    struct compute computed;

    (void)state;
    change_trace(&change);
    compute(&computed, MODEL, changed_trace);
    assert_int_equal(computed.cases[0].state, COMPUTE_DIFFERS);
    expect(&computed.cases[0], "another row map: ");
    expect(&computed.cases[0], "blocks of rank 0 ");
    compute_release(&computed);
}

static void another_token_is_named_with_its_place(void **state)
{
    const struct change change = {.position = 4};
    struct compute computed;

    (void)state;
    change_trace(&change);
    compute(&computed, MODEL, changed_trace);
    assert_int_equal(computed.cases[0].state, COMPUTE_DIFFERS);
    expect(&computed.cases[0], "another token: request 1, token 4");
    compute_release(&computed);
}

/* As recorded by serve without --record-prompts. */
static void without_data_nothing_is_computed_and_why_is_said(void **state)
{
    const struct change change = {.position = UINT64_MAX, .payloads = "none"};
    const struct compute_options options = {.model = MODEL, .threads = 1};
    const char *const paths[1] = {changed_trace};
    struct compute computed;
    struct fail fail = {0};

    (void)state;
    change_trace(&change);
    assert_int_equal(compute_run(&computed, &options, paths, 1, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_SKIPPED);
    assert_non_null(strstr(fail.text, "--record-prompts"));
    compute_release(&computed);
}

static void another_model_is_refused_with_both_fingerprints(void **state)
{
    const struct compute_options options = {.model = changed_model, .threads = 1};
    const char *const paths[1] = {TRACE};
    struct compute computed;
    struct fail fail = {0};

    (void)state;
    change_weight("token_embd.weight", 0, 0); /* one of the places that a fingerprint covers */
    assert_int_equal(compute_run(&computed, &options, paths, 1, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(fail.text, "9104091d871d4f66"));
    assert_non_null(strstr(fail.text, options.model));
    compute_release(&computed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kept_recording_is_computed_to_the_same_bits),
        cmocka_unit_test(a_changed_weight_is_named_by_layer_matrix_and_row),
        cmocka_unit_test(another_row_map_is_named_with_its_ranks),
        cmocka_unit_test(another_token_is_named_with_its_place),
        cmocka_unit_test(without_data_nothing_is_computed_and_why_is_said),
        cmocka_unit_test(another_model_is_refused_with_both_fingerprints),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
