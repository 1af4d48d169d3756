/* Shares that fit into the members' memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "balance_case.h"
#include "node/common/hash.h"
#include "node/engine/plan.h"
#include "node/kernel/kernel.h"
#include "simmodel.h"

#define MB UINT64_C(1000000)

enum { SEEDS = 2000, NODES_MAX = 8, CTX = 2048, SLOTS = 2 };

static const struct model shape = {.dim = 2048, .hidden = 5632, .layers = 22, .heads = 32, .kv_heads = 32, .head_dim = 64, .vocab = 32000};
static struct balance_load load;

/* Weights of one byte: 1.35 GB, and 738 MB of keys and values. */
static int set_up(void **state)
{
    (void)state;
    load = balance_case_load(&shape);
    balance_load_cache(&load, KV_F16, CTX, SLOTS);
    return 0;
}

static uint64_t whole(void)
{
    return load.bytes + load.bytes / 64 + shape.kv_heads * load.cache_bytes;
}

static struct balance_member with(uint32_t speed, uint64_t memory_bytes)
{
    return (struct balance_member){.speed = speed, .share = BALANCE_SHARE_AUTO, .ratio = BALANCE_RATIO_ONE, .memory_bytes = memory_bytes};
}

static uint64_t part(const uint32_t *share, uint16_t count, uint16_t rank)
{
    struct rowmap map;
    struct fail fail;

    assert_int_equal(rowmap_init(&map, &shape, share, count, &fail), 0);
    return balance_part_bytes(&load, &map, rank);
}

static void what_fits_is_left_as_it_is(void **state)
{
    const struct balance_member member[] = {with(3000, whole()), with(2000, 0), with(1000, whole() / 3)};
    uint32_t share[] = {1500, 1000, 500};

    (void)state;
    assert_true(balance_fit(&load, member, 3, share) == 0);
    assert_true(share[0] == 1500 && share[1] == 1000 && share[2] == 500);
}

static void who_has_too_little_gets_fewer_rows_and_the_others_more(void **state)
{
    const struct balance_member member[] = {with(1000, whole()), with(1000, whole() / 5), with(1000, whole())};
    uint32_t share[] = {1000, 1000, 1000};

    (void)state;
    assert_true(balance_fit(&load, member, 3, share) == 0);
    assert_true(share[0] == share[2] && share[0] > 1100 && share[1] > 500);
    assert_true(part(share, 3, 1) <= whole() / 5);
    assert_true(part(share, 3, 0) > whole() / 3);
}

/* A second member lacks memory only when it receives the first one's rows. */
static void limits_are_kept_one_after_the_other(void **state)
{
    const struct balance_member member[] = {with(1000, whole() / 8), with(1000, whole() * 3 / 8), with(1000, whole() * 5 / 8)};
    uint32_t share[] = {1000, 1000, 1000};

    (void)state;
    assert_true(balance_fit(&load, member, 3, share) == 0);
    for (uint16_t r = 0; r < 3; r++)
        assert_true(part(share, 3, r) <= member[r].memory_bytes);
    assert_true(part(share, 3, 2) > whole() / 2);
}

static void what_is_missing_is_said_and_shares_stay(void **state)
{
    const struct balance_member member[] = {with(1000, 300 * MB), with(1000, 500 * MB)};
    uint32_t share[] = {1000, 900};

    (void)state;
    assert_true(balance_fit(&load, member, 2, share) == whole() - 800 * MB);
    assert_true(share[0] == 1000 && share[1] == 900);
}

static void better_slow_than_not_at_all(void **state)
{
    const struct balance_member member[] = {with(90000, whole() * 3 / 4), with(100, whole() / 2)};
    uint32_t share[2];

    (void)state;
    balance_shares(&load, member, 2, share);
    share[1] = 0;
    assert_true(balance_fit(&load, member, 2, share) == 0);
    assert_true(share[0] > share[1] && share[1] > 0);
    assert_true(part(share, 2, 0) <= member[0].memory_bytes && part(share, 2, 1) <= member[1].memory_bytes);
}

static void who_asks_for_no_rows_gets_none(void **state)
{
    struct balance_member member[] = {with(1000, whole() * 3 / 4), with(1000, whole())};
    uint32_t share[] = {1, 0};

    (void)state;
    member[1].share = 0;
    assert_true(balance_fit(&load, member, 2, share) == whole() - whole() * 3 / 4);
}

static void a_share_that_was_asked_for_is_no_reason_to_run_out_of_memory(void **state)
{
    struct balance_member member[] = {with(1000, whole() / 4), with(1000, whole())};
    uint32_t share[] = {3, 1};

    (void)state;
    member[0].share = 3;
    member[1].share = 1;
    assert_true(balance_fit(&load, member, 2, share) == 0);
    assert_true(part(share, 2, 0) <= member[0].memory_bytes && share[1] > share[0]);
}

static void one_alone_has_all_or_too_little(void **state)
{
    struct balance_member member = with(1000, whole());
    uint32_t share = 1000;

    (void)state;
    assert_true(balance_fit(&load, &member, 1, &share) == 0 && share == 1000);
    member.memory_bytes = whole() - 5 * MB;
    assert_true(balance_fit(&load, &member, 1, &share) == 5 * MB && share == 1000);
}

/* Memory of petabytes, or of one byte, and any speeds: no member gets more than fits; a quarter more than the model needs always
 * suffices. */
static void any_members_fit_or_lack_memory(void **state)
{
    struct balance_member member[NODES_MAX];
    uint32_t share[NODES_MAX];

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const uint16_t count = (uint16_t)(1 + hash_words3(seed, 0, 0) % NODES_MAX);
        uint64_t memory = 0, missing;

        for (uint16_t r = 0; r < count; r++) {
            const uint64_t drawn = hash_words3(seed, 1, r);

            member[r] = with(1 + (uint32_t)(drawn >> 40) % 100000, 1 + drawn % (2 * whole() / count));
            if (drawn % 50 == 0)
                member[r].memory_bytes = drawn % 100 == 0 ? UINT64_MAX >> 1 : 1;
            memory += member[r].memory_bytes < whole() ? member[r].memory_bytes : whole();
        }
        balance_shares(&load, member, count, share);
        missing = balance_fit(&load, member, count, share);
        if (missing == 0)
            for (uint16_t r = 0; r < count; r++)
                if (part(share, count, r) > member[r].memory_bytes)
                    fail_msg("seed %llu: rank %u has too much", (unsigned long long)seed, r);
        if (memory < whole() ? missing != whole() - memory : memory > whole() / 4 * 5 && missing > 0)
            fail_msg("seed %llu: %llu missing, of %llu there are %llu", (unsigned long long)seed, (unsigned long long)missing,
                     (unsigned long long)whole(), (unsigned long long)memory);
    }
}

/* A coordinator does not propose shares that members cannot hold. */
static void shares_that_memory_forbids_are_not_proposed(void **state)
{
    const struct balance_member member[] = {with(1000, whole()), with(9000, whole() / 4)};
    struct balance balance = {0};
    uint32_t share[] = {1000, 1000}, proposed[2];
    struct rowmap map;
    struct fail fail;

    (void)state;
    assert_true(balance_fit(&load, member, 2, share) == 0);
    assert_int_equal(rowmap_init(&map, &shape, share, 2, &fail), 0);
    for (uint64_t s = 1; s < 100; s++)
        assert_false(balance_is_due(&balance, s * 1000 * MB, &load, member, &map, proposed));
}

/* At least what the engine holds, and a few percent more at most; each part of an engine also has some kB that are prefetched and never
 * used. */
static void parts_are_what_engines_hold(void **state)
{
    static const enum tensor_type types[] = {TYPE_F32, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_K, TYPE_Q6_K};
    static const uint32_t shares[][3] = {{1, 1, 1}, {5, 1, 2}, {1, 0, 9}};

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct synth_options options = {
            .dim = 512, .hidden = 768, .layers = 2, .heads = 8, .kv_heads = 4, .vocab = 1000, .context = 256, .type = types[t], .seed = 1};
        struct balance_load real;
        struct simmodel sim;

        simmodel_open(&sim, &options);
        balance_load_init(&real, sim.model);
        balance_load_cache(&real, KV_Q8_0, 256, 3);
        for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
            static struct plan plan;
            struct fail fail;

            plan = (struct plan){.model = sim.model, .ctx = 256, .batch = 8, .threads = 1, .slots = 3, .kv_type = KV_Q8_0};
            assert_int_equal(rowmap_init(&plan.map, sim.model, shares[s], 3, &fail), 0);
            assert_int_equal(plan_make(&plan, &fail), 0);
            for (uint16_t r = 0; r < 3; r++) {
                const struct engine_memory *has = &plan.node[r].memory;
                const uint64_t holds = has->weight_bytes + has->kv_bytes, told = balance_part_bytes(&real, &plan.map, r);

                if (told + 2 * PANEL_PREFETCH_BYTES < holds || told > holds + holds / 20)
                    fail_msg("type %d, shares %zu, rank %u: %llu, and it holds %llu", (int)types[t], s, r, (unsigned long long)told,
                             (unsigned long long)holds);
            }
        }
        simmodel_close(&sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_left_as_it_is),
        cmocka_unit_test(who_has_too_little_gets_fewer_rows_and_the_others_more),
        cmocka_unit_test(limits_are_kept_one_after_the_other),
        cmocka_unit_test(what_is_missing_is_said_and_shares_stay),
        cmocka_unit_test(better_slow_than_not_at_all),
        cmocka_unit_test(who_asks_for_no_rows_gets_none),
        cmocka_unit_test(a_share_that_was_asked_for_is_no_reason_to_run_out_of_memory),
        cmocka_unit_test(one_alone_has_all_or_too_little),
        cmocka_unit_test(any_members_fit_or_lack_memory),
        cmocka_unit_test(shares_that_memory_forbids_are_not_proposed),
        cmocka_unit_test(parts_are_what_engines_hold),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
