/* mesh-replay diff: what is called a difference, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "replay/diff.h"

static char folder[64], paths[2][96];
static struct mesh_trace *writers[2];
static struct diff diff;
static struct fail failure;

static int set_up(void **state)
{
    char reason[MESH_TRACE_REASON_BYTES];

    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_replay_diff.XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (unsigned side = 0; side < 2; side++) {
        snprintf(paths[side], sizeof paths[side], "%s/%c.db", folder, 'a' + (int)side);
        assert_int_equal(mesh_trace_create(&writers[side], paths[side], reason), 0);
        assert_int_equal(mesh_trace_begin(writers[side]), 0);
        assert_int_equal(mesh_trace_set_meta(writers[side], "ids", "all"), 0);
        assert_int_equal(mesh_trace_set_meta(writers[side], "payloads", "all"), 0);
    }
    diff = (struct diff){.paths = {paths[0], paths[1]}};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        mesh_trace_close(diff.traces[side]);
        unlink(paths[side]);
    }
    return rmdir(folder);
}

static void open_both(void)
{
    for (unsigned side = 0; side < 2; side++) {
        assert_int_equal(mesh_trace_commit(writers[side]), 0);
        mesh_trace_close(writers[side]);
        diff.traces[side] = trace_open(paths[side], &failure);
        assert_non_null(diff.traces[side]);
    }
}

static void add_token(unsigned side, uint64_t request, uint64_t position, uint64_t token, int64_t t_ns)
{
    const struct mesh_trace_token row = {.node = 1,
                                         .t_ns = t_ns,
                                         .request = request,
                                         .position = position,
                                         .step = MESH_TRACE_NULL,
                                         .token = token,
                                         .logits_hash = MESH_TRACE_NULL};

    assert_int_equal(mesh_trace_add_row_token(writers[side], &row, NULL), 0);
}

static void add_epoch(unsigned side, const char *rows)
{
    const struct mesh_trace_epoch row = {.node = 1, .t_ns = 1, .rank = 0, .members = "[]", .rows = rows};

    assert_int_equal(mesh_trace_add_row_epoch(writers[side], &row, NULL), 0);
}

static void add_numbered_epoch(unsigned side, uint64_t number, const char id[16])
{
    const struct mesh_trace_epoch row = {.node = 1, .t_ns = 1, .epoch = number, .rank = 0, .epoch_id = {id, 16}, .rows = "{}"};

    assert_int_equal(mesh_trace_add_row_epoch(writers[side], &row, NULL), 0);
}

static uint32_t tile_epoch;     /* of the tiles that are added */
static bool tiles_are_left_out; /* their data is */

static void add_tile_of(unsigned side, uint64_t step, uint16_t phase, uint16_t block, uint16_t count, uint8_t content)
{
    static uint64_t number;
    struct mesh_trace_datagram row = {.node = 1, .t_ns = (int64_t)step, .direction = MESH_TRACE_RECEIVED};
    uint8_t packet[1200], data[360];
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                              .version = MESH_WIRE_VERSION,
                                              .type = MESH_TYPE_TILE,
                                              .src = 1,
                                              .epoch = tile_epoch,
                                              .number = ++number},
                                   .as.tile = {.step = step, .phase = phase, .token_count = 1, .block_first = block, .block_count = count},
                                   .data = data,
                                   .data_bytes = 36u * count};
    size_t bytes;

    memset(data, content, sizeof data);
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    assert_int_equal(mesh_trace_add_datagram(writers[side], &row, packet, bytes, !tiles_are_left_out, NULL), 0);
}

static void add_tile(unsigned side, uint64_t step, uint16_t block, uint16_t count, uint8_t content)
{
    add_tile_of(side, step, 2, block, count, content);
}

static void the_same_tokens_are_the_same_whatever_requests_are_called(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        add_token(0, 900, i, 100 + i, 1);
        add_token(1, 7, i, 100 + i, 2);
    }
    add_token(0, 5, 0, 1, 3);
    add_token(1, 8, 0, 1, 3);
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.verdict, DIFF_SAME);
    assert_int_equal(diff.tokens.aligned, 6);
    assert_false(diff.tokens.has_first);
}

/* Two answers of four tokens, whose begins are swapped in the second trace. */
static void add_answers(unsigned side, uint64_t first, uint64_t second, unsigned parts_at)
{
    for (uint64_t i = 0; i < 4; i++) {
        add_token(side, first, i, first % 10 * 100 + i, 1);
        add_token(side, second, i, second % 10 * 100 + i + (side == 1 && i >= parts_at ? 50 : 0), 1);
    }
}

static void add_begin(unsigned side, uint64_t request, uint32_t prompt)
{
    const struct mesh_trace_request row = {.node = 1, .request = request, .kind = "begin", .options = "{}", .prompt = {&prompt, 4}};

    assert_int_equal(mesh_trace_add_row_request(writers[side], &row, NULL), 0);
}

static void answers_to_the_same_question_stand_side_by_side(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        add_begin(side, 10 * side + 1, 77);
        add_begin(side, 10 * side + 2, 78);
    }
    add_answers(0, 1, 2, 4);
    add_answers(1, 12, 11, 1);
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.aligned, 8);
    assert_int_equal(diff.tokens.different, 3); /* of the one that was asked for second there */
    assert_int_equal(diff.tokens.request, 1);
    assert_int_equal(diff.tokens.position, 1);
}

static void and_so_do_those_that_begin_alike_where_questions_are_not_known(void **state)
{
    (void)state;
    add_answers(0, 1, 2, 4);
    add_answers(1, 12, 11, 4);
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.verdict, DIFF_SAME);
    assert_int_equal(diff.tokens.aligned, 8);
}

/* It was not a member then. */
static void what_a_node_of_one_mesh_has_not_heard_of_is_no_difference(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++)
        add_numbered_epoch(side, 2, "epoch 2 of both ");
    add_answers(0, 1, 2, 4);
    for (uint64_t i = 2; i < 4; i++)
        add_token(1, 2, i, 200 + i, 1);
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.verdict, DIFF_SAME);
    assert_int_equal(diff.tokens.aligned, 2);
    assert_int_equal(diff.tokens.only[0], 6);
    assert_false(diff.tokens.has_first);
}

static void the_first_token_that_differs_is_named(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 9; i++) {
        add_token(0, 1, i, i, 1);
        add_token(1, 1, i, i < 4 ? i : i + 50, 1);
    }
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff.tokens.different, 5);
    assert_int_equal(diff.tokens.request, 1);
    assert_int_equal(diff.tokens.position, 4);
    assert_int_equal(diff.tokens.first[0], 4);
    assert_int_equal(diff.tokens.first[1], 54);
}

static void an_answer_that_ends_earlier_is_a_difference(void **state)
{
    (void)state;
    add_token(0, 1, 0, 3, 1);
    add_token(0, 1, 1, 4, 1);
    add_token(1, 1, 0, 3, 1);
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff.tokens.only[0], 1);
    assert_true(diff.tokens.first[1] == MESH_TRACE_NULL);
}

static void hashes_with_other_keys_tell_nothing(void **state)
{
    (void)state;
    assert_int_equal(mesh_trace_set_meta(writers[1], "ids", "hash"), 0);
    for (uint64_t i = 0; i < 9; i++) {
        add_token(0, 1, i, i, 1);
        add_token(1, 1, i, i * 7777 + 1, 1);
    }
    open_both();
    assert_int_equal(diff_tokens(&diff, &failure), 0);
    assert_int_equal(diff.tokens.verdict, DIFF_UNKNOWN);
}

static void resends_and_other_cuts_are_no_difference(void **state)
{
    (void)state;
    add_tile(0, 1, 0, 4, 5);
    add_tile(0, 1, 4, 4, 6);
    add_tile(1, 1, 0, 4, 5);
    add_tile(1, 1, 0, 4, 5); /* again */
    add_tile(1, 1, 4, 2, 6);
    add_tile(1, 1, 6, 2, 6);
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff.tiles.aligned, 1);
    assert_int_equal(diff.tiles.only[0], 1);
    assert_int_equal(diff.tiles.only[1], 2);
}

static void a_tile_with_other_data_is_named(void **state)
{
    (void)state;
    for (uint64_t step = 1; step < 9; step++) {
        add_tile(0, step, 8, 4, 5);
        add_tile(1, step, 8, 4, step == 6 ? 9 : 5);
    }
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff.tiles.different, 1);
    assert_int_equal(diff.tiles.step, 6);
    assert_int_equal(diff.tiles.phase, 2);
    assert_int_equal(diff.tiles.block, 8);
    assert_int_equal(diff.tiles.src, 1);
    assert_false(diff.tiles.has_move);
}

/* The first step of epochs of these numbers, each with what it holds. */
static void add_epochs(unsigned side, const uint32_t numbers[2], const uint8_t contents[2])
{
    for (unsigned i = 0; i < 2; i++) {
        tile_epoch = numbers[i];
        add_tile(side, 0, 8, 4, contents[i]);
    }
    tile_epoch = 0;
}

/* Steps begin with 0 in each. */
static void the_first_steps_of_two_epochs_are_two(void **state)
{
    (void)state;
    add_epochs(0, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 6});
    add_epochs(1, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 7});
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.aligned, 2);
    assert_int_equal(diff.tiles.different, 1);
    assert_int_equal(diff.tiles.epoch[0], 2);
}

static void epochs_of_two_runs_are_counted(void **state)
{
    (void)state;
    add_numbered_epoch(0, 2, "epoch 2, before ");
    add_numbered_epoch(1, 2, "epoch 2, after  ");
    add_epochs(0, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 6});
    add_epochs(1, (const uint32_t[]){2, 4}, (const uint8_t[]){5, 7});
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.aligned, 2);
    assert_int_equal(diff.tiles.different, 1);
    assert_int_equal(diff.tiles.epoch[0], 2);
    assert_int_equal(diff.tiles.epoch[1], 4);
}

static void those_of_one_mesh_have_their_numbers(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++)
        add_numbered_epoch(side, 2, "epoch 2 of both ");
    add_epochs(0, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 6});
    add_epochs(1, (const uint32_t[]){2, 3}, (const uint8_t[]){6, 7});
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff.tiles.aligned, 1);
    assert_int_equal(diff.tiles.only[0], 1);
    assert_int_equal(diff.tiles.only[1], 1);
}

/* With a hash that is the recorder's own. */
static void tiles_without_their_data_are_not_compared(void **state)
{
    (void)state;
    add_tile(0, 1, 0, 4, 5);
    add_tile(1, 1, 0, 4, 5);
    add_tile(0, 2, 0, 4, 5);
    tiles_are_left_out = true;
    add_tile(0, 1, 0, 4, 9);
    add_tile(1, 2, 0, 4, 9);
    tiles_are_left_out = false;
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff.tiles.aligned, 1);
    assert_int_equal(diff.tiles.left_out, 1);
}

static void steps_of_requests_at_once_tell_nothing(void **state)
{
    (void)state;
    add_tile(0, 1, 0, 4, 5);
    add_tile(0, 2, 0, 4, 5);
    add_tile(1, 1, 0, 4, 5);
    add_tile(1, 2, 0, 4, 6);
    add_answers(0, 1, 2, 4);
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.different, 1);
    assert_int_equal(diff.tiles.verdict, DIFF_UNKNOWN);
    assert_true(diff.tiles.are_steps_shared);
}

/* Two steps of a gather of rows and one of candidates, where these are not the same. */
static void compare_candidates(const char *a, const char *b)
{
    add_epoch(0, a);
    add_epoch(1, b);
    for (unsigned side = 0; side < 2; side++)
        for (uint64_t step = 0; step < 2; step++) {
            add_tile_of(side, step, 15, 0, 4, 5);
            add_tile_of(side, step, 16, 0, 4, (uint8_t)(6 + side));
        }
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
}

static void candidates_of_other_rows_are_no_difference(void **state)
{
    (void)state;
    compare_candidates("{\"shares\":[1,1]}", "{\"shares\":[2,1]}");
    assert_int_equal(diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff.tiles.aligned, 2);
    assert_int_equal(diff.tiles.candidates, 2);
}

static void nor_are_those_of_more_ranks(void **state)
{
    (void)state;
    compare_candidates("{\"shares\":[1,1]}", "{\"shares\":[1,1,1]}");
    assert_int_equal(diff.tiles.verdict, DIFF_SAME);
}

static void those_of_the_same_rows_are_compared(void **state)
{
    (void)state;
    compare_candidates("{\"shares\":[1,1]}", "{\"shares\":[1000,1000]}");
    assert_int_equal(diff.tiles.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff.tiles.different, 2);
    assert_int_equal(diff.tiles.candidates, 0);
}

static void another_order_is_counted_and_no_difference(void **state)
{
    (void)state;
    add_tile(0, 1, 0, 4, 5);
    add_tile(0, 1, 4, 4, 6);
    add_tile(1, 1, 4, 4, 6);
    add_tile(1, 1, 0, 4, 5);
    open_both();
    assert_int_equal(diff_tiles(&diff, &failure), 0);
    assert_int_equal(diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff.tiles.moved, 2);
    assert_int_equal(diff.tiles.move_step, 1);
}

/* Tokens whose intervals scatter by a third around a mean; each so many-th takes ten times as long (0: none). */
static void add_intervals(unsigned side, unsigned count, double mean_us, uint32_t seed, unsigned slow_every)
{
    int64_t t_ns = 0;

    for (unsigned i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        t_ns += (int64_t)(mean_us * 1e3 * (0.67 + 0.66 * (seed >> 8) / (1 << 24)) * (slow_every > 0 && i % slow_every == 7 ? 10 : 1));
        add_token(side, 1, i, 1, t_ns);
    }
}

static unsigned slow_every; /* of the second side's */

static enum diff_change change_of(unsigned count, double a_us, double b_us)
{
    add_intervals(0, count, a_us, 11, 0);
    add_intervals(1, count, b_us, 12, slow_every);
    open_both();
    assert_int_equal(diff_timings(&diff, &failure), 0);
    assert_string_equal(diff.timings[1].name, "token_interval");
    return diff.timings[1].change;
}

static void noise_is_no_change(void **state)
{
    (void)state;
    assert_int_equal(change_of(3000, 500, 500), DIFF_UNCHANGED);
}

static void a_tenth_slower_is_seen_in_spite_of_noise(void **state)
{
    (void)state;
    assert_int_equal(change_of(3000, 500, 550), DIFF_SLOWER);
    assert_true(diff.timings[1].p50_percent > 5 && diff.timings[1].p50_percent < 15);
}

static void and_faster_too(void **state)
{
    (void)state;
    assert_int_equal(change_of(3000, 500, 450), DIFF_FASTER);
}

static void a_few_values_tell_nothing(void **state)
{
    (void)state;
    assert_int_equal(change_of(20, 500, 5000), DIFF_TOO_FEW);
}

static void a_slower_tail_is_seen_beside_a_faster_median(void **state)
{
    (void)state;
    slow_every = 33;
    assert_int_equal(change_of(3000, 500, 450), DIFF_FASTER);
    assert_true(diff.timings[1].p99_is_slower && !diff.timings[1].p50_is_slower);
    assert_true(diff_is_too_slow(&diff, 50));
    slow_every = 0;
}

static void a_tail_of_too_few_values_does_not_count_beside_a_slower_median(void **state)
{
    (void)state;
    slow_every = 33;
    assert_int_equal(change_of(900, 500, 550), DIFF_SLOWER);
    assert_true(diff.timings[1].p99_percent > 100);
    assert_false(diff_is_too_slow(&diff, 50));
    assert_true(diff_is_too_slow(&diff, 5));
    slow_every = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_tokens_are_the_same_whatever_requests_are_called),
        TEST(answers_to_the_same_question_stand_side_by_side),
        TEST(and_so_do_those_that_begin_alike_where_questions_are_not_known),
        TEST(what_a_node_of_one_mesh_has_not_heard_of_is_no_difference),
        TEST(the_first_token_that_differs_is_named),
        TEST(an_answer_that_ends_earlier_is_a_difference),
        TEST(hashes_with_other_keys_tell_nothing),
        TEST(resends_and_other_cuts_are_no_difference),
        TEST(a_tile_with_other_data_is_named),
        TEST(the_first_steps_of_two_epochs_are_two),
        TEST(epochs_of_two_runs_are_counted),
        TEST(those_of_one_mesh_have_their_numbers),
        TEST(tiles_without_their_data_are_not_compared),
        TEST(steps_of_requests_at_once_tell_nothing),
        TEST(candidates_of_other_rows_are_no_difference),
        TEST(nor_are_those_of_more_ranks),
        TEST(those_of_the_same_rows_are_compared),
        TEST(another_order_is_counted_and_no_difference),
        TEST(noise_is_no_change),
        TEST(a_tenth_slower_is_seen_in_spite_of_noise),
        TEST(and_faster_too),
        TEST(a_few_values_tell_nothing),
        TEST(a_slower_tail_is_seen_beside_a_faster_median),
        TEST(a_tail_of_too_few_values_does_not_count_beside_a_slower_median),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
