/* How rows are divided among the members of an epoch, and whether there is memory for a node's part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "node/common/memory_text.h"
#include "node/epoch/balance.h"
#include "node/epoch/epoch_run.h"
#include "simquestion.h"

enum { MEMBERS = 3 };

static struct epoch_run_config config;
static struct mesh_cluster_member members[MEMBERS];
static struct rowmap map;
static struct fail failure;
static uint64_t available_bytes;

uint64_t memory_available_bytes(void)
{
    return available_bytes;
}

void memory_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES])
{
    (void)snprintf(out, MEMORY_TEXT_BYTES, "%s", bytes == available_bytes ? "little" : "much");
}

/* Members of one speed. */
static int set_up(void **state)
{
    (void)state;
    config = (struct epoch_run_config){.model = simquestion_model(0)->model,
                                       .kernel = kernel_choose(NULL),
                                       .threads = 1,
                                       .batch = 8,
                                       .slots = 3,
                                       .ctx = 1000,
                                       .kv_type = KV_Q8_0};
    memset(members, 0, sizeof members);
    for (unsigned r = 0; r < MEMBERS; r++) {
        members[r].speed = 1000000;
        members[r].flags = balance_flags(&(struct balance_member){.share = BALANCE_SHARE_AUTO, .ratio = BALANCE_RATIO_ONE});
    }
    return 0;
}

/* Returns how many bytes are missing. */
static uint64_t divide(uint16_t count)
{
    uint64_t missing_bytes = 1;

    assert_int_equal(epoch_run_divide(&map, &config, members, count, &missing_bytes, &failure), 0);
    assert_int_equal(map.rank_count, count);
    return missing_bytes;
}

static void agreed_shares_go_before_speed(void **state)
{
    (void)state;
    members[0].share = 1;
    members[0].speed = 100;
    assert_int_equal(divide(2), 0);
    assert_true(map.share[0] == 1 && map.share[1] == 0);
    members[1].share = 3;
    assert_int_equal(divide(2), 0);
    assert_true(map.share[0] == 1 && map.share[1] == 3);
}

static void without_them_rows_follow_speed(void **state)
{
    (void)state;
    members[2].share = 9; /* of nobody in this epoch */
    assert_int_equal(divide(2), 0);
    assert_true(map.share[0] > 0 && map.share[0] == map.share[1]);
    members[1].speed /= 2;
    assert_int_equal(divide(2), 0);
    assert_true(map.share[1] > 0 && map.share[0] > map.share[1]);
}

/* What is needed grows with the keys and values of all slots. */
static void what_does_not_fit_into_memory_is_missing(void **state)
{
    uint64_t missing;

    (void)state;
    for (unsigned r = 0; r < MEMBERS; r++)
        members[r].summary = 1;
    missing = divide(MEMBERS);
    assert_true(missing > 0);
    config.slots++;
    assert_true(divide(MEMBERS) > missing);
    config.slots--;
    members[1].summary = missing + 1000000;
    assert_int_equal(divide(MEMBERS), 0);
    assert_true(map.share[1] > 0 && map.share[0] == 0 && map.share[2] == 0);
}

static struct engine *open_engine(const uint32_t *shares)
{
    const struct engine_config engine = {.model = config.model,
                                         .map = &map,
                                         .worker_count = config.threads,
                                         .batch = config.batch,
                                         .slots = config.slots,
                                         .ctx = config.ctx,
                                         .kv_type = config.kv_type,
                                         .kernel = config.kernel};

    return rowmap_init(&map, config.model, shares, 2, &failure) < 0 ? NULL : engine_open(&engine, NULL, &failure);
}

static void buffers_are_those_of_a_node_with_all_rows_among_others(void **state)
{
    static const uint32_t all[] = {1, 0}, half[] = {1, 1};
    struct engine *with_all = open_engine(all), *with_half = open_engine(half);
    struct engine_memory memory, less;
    uint64_t bytes = 0;

    (void)state;
    assert_non_null(with_all);
    assert_non_null(with_half);
    engine_memory(with_all, &memory);
    engine_memory(with_half, &less);
    engine_close(with_all);
    engine_close(with_half);
    assert_int_equal(epoch_run_buffer_bytes(&config, &bytes, &failure), 0);
    assert_int_equal(bytes, memory.buffer_bytes);
    assert_true(bytes > less.buffer_bytes);
}

static void a_part_needs_its_weights_keys_values_and_buffers(void **state)
{
    static const uint32_t half[] = {1, 1};
    struct engine *engine = open_engine(half);
    struct engine_memory memory;

    (void)state;
    assert_non_null(engine);
    engine_memory(engine, &memory);
    available_bytes = memory.weight_bytes + memory.kv_bytes + memory.buffer_bytes;
    assert_int_equal(epoch_run_check_memory(engine, &failure), 0);
    available_bytes--;
    assert_int_equal(epoch_run_check_memory(engine, &failure), -1);
    assert_int_equal(failure.exit_code, EXIT_ENVIRONMENT);
    assert_memory_equal(failure.text, "memory: this node's part needs much, little are available: ", 59);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(agreed_shares_go_before_speed, set_up),
        cmocka_unit_test_setup(without_them_rows_follow_speed, set_up),
        cmocka_unit_test_setup(what_does_not_fit_into_memory_is_missing, set_up),
        cmocka_unit_test_setup(buffers_are_those_of_a_node_with_all_rows_among_others, set_up),
        cmocka_unit_test_setup(a_part_needs_its_weights_keys_values_and_buffers, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
