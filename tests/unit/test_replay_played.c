/* mesh-replay run --node: blocks and records of the real node compared with those of the recording, whichever of the two is ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/record.h"
#include "replay/played_gather.h"
#include "replay/played_log.h"
#include "replay/run_words.h"

/* Rank 0 is played, and rank 1 is real. Two blocks each, of 4 bytes, the last one of 2; two tokens. */
enum { PHASE = 2, STEP = 7, BLOCKS = 4, TOKENS = 2, BYTES = 4, LAST_BYTES = 2, NODE_BYTES = BYTES + LAST_BYTES };

static struct played_gathers gathers;
static const uint8_t first_bytes[] = {0, 0, 2, 0, 4, 0};

static int set_up(void **state)
{
    (void)state;
    gathers = (struct played_gathers){.rank = 0, .node = 1, .rank_count = 2};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    played_gather_release(&gathers, true);
    return 0;
}

static struct mesh_tape_entry opening(const uint8_t *first)
{
    return (struct mesh_tape_entry){.open = {.kind = MESH_TAPE_OPEN,
                                             .body_bytes = sizeof first_bytes,
                                             .step = STEP,
                                             .phase = PHASE,
                                             .token_count = TOKENS,
                                             .block_count = BLOCKS,
                                             .block_bytes = BYTES,
                                             .last_block_bytes = LAST_BYTES,
                                             .readers = 1},
                                    .body = first};
}

static struct played_gather *open_gather(void)
{
    const struct mesh_tape_entry entry = opening(first_bytes);
    const char *reason;
    struct played_gather *g = played_gather_open(&gathers, &entry, &reason);

    assert_non_null(g);
    played_gather_opened(&gathers, g);
    return g;
}

/* Both blocks of a token, as the recording received them. */
static void record_tile(uint16_t token, const uint8_t data[NODE_BYTES])
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    const struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_TILE, .src = 1, .number = 1},
        .as.tile = {.step = STEP, .phase = PHASE, .token_first = token, .token_count = 1, .block_first = 2, .block_count = 2},
        .data = data,
        .data_bytes = NODE_BYTES};
    const size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);
    const struct mesh_tape_entry entry = {.receive = {.kind = MESH_TAPE_RECEIVE,
                                                      .payload = MESH_TAPE_WHOLE,
                                                      .body_bytes = (uint32_t)bytes - NODE_BYTES,
                                                      .payload_bytes = NODE_BYTES},
                                          .body = packet,
                                          .payload = packet + bytes - NODE_BYTES};

    played_gather_recorded(&gathers, &entry);
}

/* The same blocks from the real node. */
static void arrive(struct played_gather *g, uint16_t token, const uint8_t data[NODE_BYTES])
{
    const struct mesh_event event = {
        .rank = 1, .step = STEP, .phase = PHASE, .token_first = token, .token_count = 1, .block_first = 2, .block_count = 2};

    memcpy(g->data + token * g->stride + (size_t)2 * BYTES, data, NODE_BYTES);
    played_gather_arrived(&gathers, g, &event);
}

static const uint8_t some[NODE_BYTES] = {1, 2, 3, 4, 5, 6}, other[NODE_BYTES] = {1, 2, 3, 4, 5, 7};

static void blocks_are_compared_once_whichever_side_is_first(void **state)
{
    struct played_gather *g = open_gather();

    (void)state;
    record_tile(0, some);
    assert_int_equal(gathers.compared, 0);
    arrive(g, 0, some);
    arrive(g, 1, some);
    assert_int_equal(gathers.compared, 2);
    record_tile(1, some);
    record_tile(1, some); /* as sent again */
    assert_int_equal(gathers.compared, 4);
    assert_int_equal(gathers.different, 0);
}

static void the_first_block_that_differs_is_named(void **state)
{
    struct played_gather *g = open_gather();

    (void)state;
    record_tile(0, some);
    record_tile(1, some);
    arrive(g, 1, other);
    assert_int_equal(gathers.first_difference.token, 1);
    arrive(g, 0, other);
    assert_int_equal(gathers.different, 2);
    assert_int_equal(gathers.first_difference.token, 0);
    assert_int_equal(gathers.first_difference.block, 3);
    assert_int_equal(gathers.first_difference.block_bytes, LAST_BYTES);
    assert_memory_equal(gathers.first_difference.expected, some + BYTES, LAST_BYTES);
    assert_memory_equal(gathers.first_difference.actual, other + BYTES, LAST_BYTES);
}

static void what_the_recording_has_from_before_opening_is_compared_too(void **state)
{
    struct played_gather *g;

    (void)state;
    record_tile(1, some);
    g = open_gather();
    arrive(g, 1, other);
    assert_int_equal(gathers.compared, 2);
    assert_int_equal(gathers.different, 1);
}

static void what_never_came_is_counted_and_what_was_not_recorded_too(void **state)
{
    struct played_gather *g = open_gather();

    (void)state;
    record_tile(0, some);
    arrive(g, 1, some);
    g->is_freed = true;
    played_gather_release(&gathers, false);
    assert_int_equal(gathers.missing, 0); /* the recording continues with it */
    g->is_over = true;
    played_gather_release(&gathers, false);
    assert_null(played_gather_find(&gathers, STEP, PHASE));
    assert_int_equal(gathers.missing, 2);
    assert_int_equal(gathers.unknown, 2);
    assert_int_equal(gathers.first_missing.block, 2);
}

static struct mesh_tape_entry publishing(uint16_t block, const uint8_t *data, uint32_t bytes)
{
    return (struct mesh_tape_entry){.publish = {.kind = MESH_TAPE_PUBLISH,
                                                .payload = MESH_TAPE_WHOLE,
                                                .payload_bytes = bytes,
                                                .step = STEP,
                                                .phase = PHASE,
                                                .token_count = 1,
                                                .block_first = block,
                                                .block_count = 1},
                                    .payload = data};
}

static void only_what_the_rank_has_to_publish_is_published(void **state)
{
    struct played_gather *g = open_gather();
    struct mesh_tape_entry entry = publishing(2, some, BYTES);

    (void)state;
    assert_string_equal(played_gather_fill(&gathers, g, &entry), "the blocks are not this rank's");
    entry = publishing(1, some, BYTES + 1);
    assert_string_equal(played_gather_fill(&gathers, g, &entry), "the blocks have another length in this gather");
    entry = publishing(1, some, BYTES);
    entry.publish.payload = MESH_TAPE_HASHED;
    assert_non_null(played_gather_fill(&gathers, g, &entry));
    entry.publish.payload = MESH_TAPE_WHOLE;
    assert_null(played_gather_fill(&gathers, g, &entry));
    assert_memory_equal(g->data + BYTES, some, BYTES);
    played_gather_published(g, &entry.publish);
    assert_string_equal(played_gather_fill(&gathers, g, &entry), "the blocks have been published");
}

static void a_gather_that_nobody_opens_is_refused(void **state)
{
    static const uint8_t backwards[] = {0, 0, 4, 0, 2, 0}, too_far[] = {0, 0, 2, 0, 5, 0};
    struct mesh_tape_entry entry = opening(backwards);
    const char *reason;

    (void)state;
    assert_null(played_gather_open(&gathers, &entry, &reason));
    assert_non_null(reason);
    entry = opening(too_far);
    assert_null(played_gather_open(&gathers, &entry, &reason));
    entry = opening(first_bytes);
    entry.open.block_bytes = MESH_BLOCK_BYTES_MAX + 1;
    assert_null(played_gather_open(&gathers, &entry, &reason));
    entry.open.block_bytes = BYTES;
    entry.open.last_block_bytes = BYTES + 1;
    assert_null(played_gather_open(&gathers, &entry, &reason));
}

/* ---- the log of a real rank 0 ---- */

static const uint8_t request[] = {RECORD_REQUEST, 1, 2}, step[] = {RECORD_STEP, 3}, later[] = {RECORD_STEP, 4},
                     finish[] = {RECORD_MESSAGE, 2};

static void hear(struct played_log *log, const uint8_t *record, size_t bytes)
{
    assert_int_equal(played_log_hear(log, record, bytes), 0);
}

static void a_record_of_rank_0_is_waited_for_and_compared(void **state)
{
    struct played_log log = {0};

    (void)state;
    assert_false(played_log_expect(&log, request, sizeof request));
    hear(&log, request, sizeof request);
    hear(&log, later, sizeof later);
    assert_true(played_log_expect(&log, request, sizeof request));
    assert_int_equal(log.different, 0);
    assert_true(played_log_expect(&log, step, sizeof step));
    assert_false(played_log_expect(&log, step, sizeof step));
    assert_int_equal(log.compared, 2);
    assert_int_equal(log.different, 1);
    assert_int_equal(log.first_different, 1);
    played_log_release(&log);
}

static void steps_behind_the_end_need_not_be_the_same(void **state)
{
    struct played_log log = {0};

    (void)state;
    hear(&log, request, sizeof request);
    assert_false(played_log_expect(&log, finish, sizeof finish));
    hear(&log, finish, sizeof finish);
    hear(&log, step, sizeof step);
    assert_true(played_log_expect(&log, request, sizeof request));
    assert_true(played_log_expect(&log, finish, sizeof finish));
    assert_int_equal(played_log_rest(&log), 1);
    assert_true(played_log_expect(&log, step, sizeof step));
    assert_true(played_log_expect(&log, later, sizeof later)); /* planned in the recording, but not now */
    assert_int_equal(log.only_recorded, 1);
    assert_int_equal(log.different, 0);
    played_log_release(&log);
}

/* ---- requests to the real node ---- */

static void a_request_is_asked_to_the_last_bit(void **state)
{
    static const char *const expected[] = {"--prompt-ids",
                                           "ids",
                                           "-n",
                                           "7",
                                           "--temp",
                                           "0.300000012",
                                           "--top-k",
                                           "40",
                                           "--top-p",
                                           "1",
                                           "--min-p",
                                           "0.0500000007",
                                           "--repeat-penalty",
                                           "1",
                                           "--presence-penalty",
                                           "0",
                                           "--frequency-penalty",
                                           "-0.5",
                                           "--seed",
                                           "18446744073709551615",
                                           "--ignore-eos",
                                           "--digest"};
    const struct request asked = {.predict = 7,
                                  .sampling = {.temperature = 0.3f,
                                               .top_k = 40,
                                               .top_p = 1,
                                               .min_p = 0.05f,
                                               .repeat_penalty = 1,
                                               .frequency_penalty = -0.5f,
                                               .seed = UINT64_MAX},
                                  .ignore_end = true,
                                  .want_digest = true};
    struct run_words words = {0};

    (void)state;
    run_words_add_request(&words, &asked, "ids");
    assert_int_equal(words.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < words.count; i++)
        assert_string_equal(words.word[i], expected[i]);
    assert_null(words.word[words.count]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_compared_once_whichever_side_is_first),
        TEST(the_first_block_that_differs_is_named),
        TEST(what_the_recording_has_from_before_opening_is_compared_too),
        TEST(what_never_came_is_counted_and_what_was_not_recorded_too),
        TEST(only_what_the_rank_has_to_publish_is_published),
        TEST(a_gather_that_nobody_opens_is_refused),
        cmocka_unit_test(a_record_of_rank_0_is_waited_for_and_compared),
        cmocka_unit_test(steps_behind_the_end_need_not_be_the_same),
        cmocka_unit_test(a_request_is_asked_to_the_last_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
