/* mesh-replay diff: which differences of the content count, and which do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "diff_case.h"
#include "mesh/wire.h"

static void add_epoch(unsigned side, const char *rows)
{
    const struct mesh_trace_epoch row = {.node = 1, .t_ns = 1, .rank = 0, .members = "[]", .rows = rows};

    assert_int_equal(mesh_trace_add_row_epoch(diff_case.writers[side], &row, NULL), 0);
}

static void add_numbered_epoch(unsigned side, uint64_t number, const char id[16])
{
    const struct mesh_trace_epoch row = {.node = 1, .t_ns = 1, .epoch = number, .rank = 0, .epoch_id = {id, 16}, .rows = "{}"};

    assert_int_equal(mesh_trace_add_row_epoch(diff_case.writers[side], &row, NULL), 0);
}

static uint32_t tile_epoch;     /* of the tiles added */
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
    assert_int_equal(mesh_trace_add_datagram(diff_case.writers[side], &row, packet, bytes, !tiles_are_left_out, NULL), 0);
}

static void add_tile(unsigned side, uint64_t step, uint16_t block, uint16_t count, uint8_t content)
{
    add_tile_of(side, step, 2, block, count, content);
}

static void the_same_tokens_are_the_same_whatever_requests_are_called(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        diff_case_add_token(0, 900, i, 100 + i, 1);
        diff_case_add_token(1, 7, i, 100 + i, 2);
    }
    diff_case_add_token(0, 5, 0, 1, 3);
    diff_case_add_token(1, 8, 0, 1, 3);
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tokens.aligned, 6);
    assert_false(diff_case.diff.tokens.has_first);
}

/* Two answers of four tokens, whose begins are swapped in the second trace. */
static void add_answers(unsigned side, uint64_t first, uint64_t second, unsigned parts_at)
{
    for (uint64_t i = 0; i < 4; i++) {
        diff_case_add_token(side, first, i, first % 10 * 100 + i, 1);
        diff_case_add_token(side, second, i, second % 10 * 100 + i + (side == 1 && i >= parts_at ? 50 : 0), 1);
    }
}

static void add_begin(unsigned side, uint64_t request, uint32_t prompt)
{
    const struct mesh_trace_request row = {.node = 1, .request = request, .kind = "begin", .options = "{}", .prompt = {&prompt, 4}};

    assert_int_equal(mesh_trace_add_row_request(diff_case.writers[side], &row, NULL), 0);
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
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.aligned, 8);
    assert_int_equal(diff_case.diff.tokens.different, 3); /* of the request submitted second there */
    assert_int_equal(diff_case.diff.tokens.request, 1);
    assert_int_equal(diff_case.diff.tokens.position, 1);
}

static void and_so_do_those_that_begin_alike_where_questions_are_not_known(void **state)
{
    (void)state;
    add_answers(0, 1, 2, 4);
    add_answers(1, 12, 11, 4);
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tokens.aligned, 8);
}

/* That node was not a member then. */
static void what_a_node_of_one_mesh_has_not_heard_of_is_no_difference(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++)
        add_numbered_epoch(side, 2, "epoch 2 of both ");
    add_answers(0, 1, 2, 4);
    for (uint64_t i = 2; i < 4; i++)
        diff_case_add_token(1, 2, i, 200 + i, 1);
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tokens.aligned, 2);
    assert_int_equal(diff_case.diff.tokens.only[0], 6);
    assert_false(diff_case.diff.tokens.has_first);
}

static void add_hello(unsigned side, int64_t direction, uint8_t process)
{
    const struct mesh_trace_datagram row = {.node = 1, .direction = direction};
    const struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_HELLO},
        .as.hello = {.rank_count = 2, .phase_count = 1, .datagram_bytes = 1200, .window_bytes = 1, .nonce = 1, .incarnation = {process}}};
    uint8_t packet[1200];
    const size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);

    assert_int_equal(mesh_trace_add_datagram(diff_case.writers[side], &row, packet, bytes, true, NULL), 0);
}

/* As when a run is killed: its epochs have no ids. */
static void compare_one_token_less(uint8_t process, enum diff_verdict expected)
{
    add_hello(0, MESH_TRACE_SENT, 1);
    add_hello(1, MESH_TRACE_RECEIVED, process);
    for (uint64_t i = 0; i < 4; i++)
        diff_case_add_token(0, 1, i, i, 1);
    for (uint64_t i = 0; i < 3; i++)
        diff_case_add_token(1, 1, i, i, 1);
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, expected);
    assert_int_equal(diff_case.diff.tokens.only[0], 1);
}

static void nodes_that_have_heard_one_another_are_of_one_mesh(void **state)
{
    (void)state;
    compare_one_token_less(1, DIFF_SAME);
}

static void nodes_that_have_heard_others_are_of_two_runs(void **state)
{
    (void)state;
    compare_one_token_less(2, DIFF_DIFFERENT);
}

/* Three questions in one run and two in the other; one of them was asked in both. */
static void what_is_left_over_is_compared_in_its_order_as_far_as_there_is_a_counterpart(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        for (uint64_t request = 1; request <= 3; request++)
            diff_case_add_token(0, request, i, 100 * request + i, 1);
        diff_case_add_token(1, 11, i, 900 + i, 1);
        diff_case_add_token(1, 12, i, 100 + i, 1);
    }
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.aligned, 8);
    assert_int_equal(diff_case.diff.tokens.different, 4);
    assert_int_equal(diff_case.diff.tokens.request, 2);
    assert_int_equal(diff_case.diff.tokens.only[0], 4);
    assert_int_equal(diff_case.diff.tokens.only[1], 0);
}

/* A recorder may have dropped it. */
static void a_token_that_one_trace_lacks_is_not_compared_with_the_next(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        for (unsigned side = 0; side < 2; side++)
            if (i != (side == 0 ? 2 : 5))
                diff_case_add_token(side, 1, i, 100 + i, 1);
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.aligned, 6);
    assert_int_equal(diff_case.diff.tokens.different, 0);
    assert_int_equal(diff_case.diff.tokens.only[0], 1);
    assert_int_equal(diff_case.diff.tokens.only[1], 1);
}

static void the_first_token_that_differs_is_named(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 9; i++) {
        diff_case_add_token(0, 1, i, i, 1);
        diff_case_add_token(1, 1, i, i < 4 ? i : i + 50, 1);
    }
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff_case.diff.tokens.different, 5);
    assert_int_equal(diff_case.diff.tokens.request, 1);
    assert_int_equal(diff_case.diff.tokens.position, 4);
    assert_int_equal(diff_case.diff.tokens.first[0], 4);
    assert_int_equal(diff_case.diff.tokens.first[1], 54);
}

static void an_answer_that_ends_earlier_is_a_difference(void **state)
{
    (void)state;
    diff_case_add_token(0, 1, 0, 3, 1);
    diff_case_add_token(0, 1, 1, 4, 1);
    diff_case_add_token(1, 1, 0, 3, 1);
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff_case.diff.tokens.only[0], 1);
    assert_true(diff_case.diff.tokens.first[1] == MESH_TRACE_NULL);
}

static void hashes_with_other_keys_tell_nothing(void **state)
{
    (void)state;
    assert_int_equal(mesh_trace_set_meta(diff_case.writers[1], "ids", "hash"), 0);
    for (uint64_t i = 0; i < 9; i++) {
        diff_case_add_token(0, 1, i, i, 1);
        diff_case_add_token(1, 1, i, i * 7777 + 1, 1);
    }
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_UNKNOWN);
}

static void with_their_values_traces_that_differ_everywhere_differ(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 9; i++) {
        diff_case_add_token(0, 1, i, i, 1);
        diff_case_add_token(1, 1, i, i + 100, 1);
        add_tile(0, i, 8, 4, 5);
        add_tile(1, i, 8, 4, 6);
    }
    diff_case_open();
    assert_int_equal(diff_tokens(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tokens.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_DIFFERENT);
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
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tiles.aligned, 1);
    assert_int_equal(diff_case.diff.tiles.only[0], 1);
    assert_int_equal(diff_case.diff.tiles.only[1], 2);
}

static void a_tile_with_other_data_is_named(void **state)
{
    (void)state;
    for (uint64_t step = 1; step < 9; step++) {
        add_tile(0, step, 8, 4, 5);
        add_tile(1, step, 8, 4, step == 6 ? 9 : 5);
    }
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff_case.diff.tiles.different, 1);
    assert_int_equal(diff_case.diff.tiles.step, 6);
    assert_int_equal(diff_case.diff.tiles.phase, 2);
    assert_int_equal(diff_case.diff.tiles.block, 8);
    assert_int_equal(diff_case.diff.tiles.src, 1);
    assert_false(diff_case.diff.tiles.has_move);
}

/* Adds the first step of epochs with these numbers, with these contents. */
static void add_epochs(unsigned side, const uint32_t numbers[2], const uint8_t contents[2])
{
    for (unsigned i = 0; i < 2; i++) {
        tile_epoch = numbers[i];
        add_tile(side, 0, 8, 4, contents[i]);
    }
    tile_epoch = 0;
}

/* Steps begin with 0 in each epoch. */
static void the_first_steps_of_two_epochs_are_two(void **state)
{
    (void)state;
    add_epochs(0, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 6});
    add_epochs(1, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 7});
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.aligned, 2);
    assert_int_equal(diff_case.diff.tiles.different, 1);
    assert_int_equal(diff_case.diff.tiles.epoch[0], 2);
}

static void epochs_of_two_runs_are_counted(void **state)
{
    (void)state;
    add_numbered_epoch(0, 2, "epoch 2, before ");
    add_numbered_epoch(1, 2, "epoch 2, after  ");
    add_epochs(0, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 6});
    add_epochs(1, (const uint32_t[]){2, 4}, (const uint8_t[]){5, 7});
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.aligned, 2);
    assert_int_equal(diff_case.diff.tiles.different, 1);
    assert_int_equal(diff_case.diff.tiles.epoch[0], 2);
    assert_int_equal(diff_case.diff.tiles.epoch[1], 4);
}

static void those_of_one_mesh_have_their_numbers(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++)
        add_numbered_epoch(side, 2, "epoch 2 of both ");
    add_epochs(0, (const uint32_t[]){1, 2}, (const uint8_t[]){5, 6});
    add_epochs(1, (const uint32_t[]){2, 3}, (const uint8_t[]){6, 7});
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tiles.aligned, 1);
    assert_int_equal(diff_case.diff.tiles.only[0], 1);
    assert_int_equal(diff_case.diff.tiles.only[1], 1);
}

/* Their hashes are specific to the recorder. */
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
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tiles.aligned, 1);
    assert_int_equal(diff_case.diff.tiles.left_out, 1);
}

static void steps_of_requests_at_once_tell_nothing(void **state)
{
    (void)state;
    add_tile(0, 1, 0, 4, 5);
    add_tile(0, 2, 0, 4, 5);
    add_tile(1, 1, 0, 4, 5);
    add_tile(1, 2, 0, 4, 6);
    add_answers(0, 1, 2, 4);
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.different, 1);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_UNKNOWN);
    assert_true(diff_case.diff.tiles.are_steps_shared);
}

/* Two steps of a gather of rows and one of candidates; the candidates differ. */
static void compare_candidates(const char *a, const char *b)
{
    add_epoch(0, a);
    add_epoch(1, b);
    for (unsigned side = 0; side < 2; side++)
        for (uint64_t step = 0; step < 2; step++) {
            add_tile_of(side, step, 15, 0, 4, 5);
            add_tile_of(side, step, 16, 0, 4, (uint8_t)(6 + side));
        }
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
}

static void candidates_of_other_rows_are_no_difference(void **state)
{
    (void)state;
    compare_candidates("{\"shares\":[1,1]}", "{\"shares\":[2,1]}");
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tiles.aligned, 2);
    assert_int_equal(diff_case.diff.tiles.candidates, 2);
}

static void nor_are_those_of_more_ranks(void **state)
{
    (void)state;
    compare_candidates("{\"shares\":[1,1]}", "{\"shares\":[1,1,1]}");
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_SAME);
}

static void those_of_the_same_rows_are_compared(void **state)
{
    (void)state;
    compare_candidates("{\"shares\":[1,1]}", "{\"shares\":[1000,1000]}");
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_DIFFERENT);
    assert_int_equal(diff_case.diff.tiles.different, 2);
    assert_int_equal(diff_case.diff.tiles.candidates, 0);
}

static void another_order_is_counted_and_no_difference(void **state)
{
    (void)state;
    add_tile(0, 1, 0, 4, 5);
    add_tile(0, 1, 4, 4, 6);
    add_tile(1, 1, 4, 4, 6);
    add_tile(1, 1, 0, 4, 5);
    diff_case_open();
    assert_int_equal(diff_tiles(&diff_case.diff, &diff_case.failure), 0);
    assert_int_equal(diff_case.diff.tiles.verdict, DIFF_SAME);
    assert_int_equal(diff_case.diff.tiles.moved, 2);
    assert_int_equal(diff_case.diff.tiles.move_step, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, diff_case_set_up, diff_case_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_tokens_are_the_same_whatever_requests_are_called),
        TEST(answers_to_the_same_question_stand_side_by_side),
        TEST(and_so_do_those_that_begin_alike_where_questions_are_not_known),
        TEST(what_a_node_of_one_mesh_has_not_heard_of_is_no_difference),
        TEST(nodes_that_have_heard_one_another_are_of_one_mesh),
        TEST(nodes_that_have_heard_others_are_of_two_runs),
        TEST(what_is_left_over_is_compared_in_its_order_as_far_as_there_is_a_counterpart),
        TEST(a_token_that_one_trace_lacks_is_not_compared_with_the_next),
        TEST(the_first_token_that_differs_is_named),
        TEST(an_answer_that_ends_earlier_is_a_difference),
        TEST(hashes_with_other_keys_tell_nothing),
        TEST(with_their_values_traces_that_differ_everywhere_differ),
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
