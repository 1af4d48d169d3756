/* What the rules of balance.h give for many members, as a hash: all members of a cluster must get the same, of any version and on any
 * processor. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "balance_case.h"
#include "libmesh/core/mix.h"
#include "node/kernel/kernel.h"

enum { SEEDS = 400, NODES_MAX = 12, CTX = 2048, SLOTS = 2 };

/* Weights of one byte: heads of their own keys and values, some that share them, and more than two to the power of 40 bytes. */
static const struct model shapes[] = {
    {.dim = 2048, .hidden = 5632, .layers = 22, .heads = 32, .kv_heads = 32, .head_dim = 64, .vocab = 32000},
    {.dim = 1024, .hidden = 3072, .layers = 28, .heads = 16, .kv_heads = 2, .head_dim = 128, .vocab = 50000},
    {.dim = 16384, .hidden = 53248, .layers = 500, .heads = 128, .kv_heads = 8, .head_dim = 128, .vocab = 128000},
};

enum draw { COUNT, KIND, SPEED, NEAR, RATIO, SHARE, MEMORY, AMOUNT };

static uint64_t draw(uint64_t seed, enum draw what, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(seed, what, index), limit);
}

/* Members of one kind: nearly equal ones, very different ones, some that asked for a share or are not known yet; with much memory, little,
 * or too little. */
static uint16_t draw_members(uint64_t seed, const struct balance_load *load, struct balance_member *member)
{
    const uint16_t count = (uint16_t)(1 + draw(seed, COUNT, 0, NODES_MAX));
    const uint64_t kind = draw(seed, KIND, 0, 4), whole = load->bytes + load->model->kv_heads * load->cache_bytes;
    const uint64_t most = whole / count * (1 + draw(seed, MEMORY, 0, 5));

    for (uint16_t r = 0; r < count; r++) {
        const uint64_t speed =
            kind == 0 ? 9000000 + draw(seed, NEAR, r, 2500000) : draw(seed, SPEED, r, 20000000) >> draw(seed, NEAR, r, 8);

        member[r] = (struct balance_member){
            .speed = kind == 3 && draw(seed, SPEED, r, 5) == 0 ? 0 : (uint32_t)speed,
            .share = kind >= 2 && draw(seed, SHARE, r, 4) == 0 ? (uint32_t)draw(seed, SHARE, r + 100u, 4) : (uint32_t)BALANCE_SHARE_AUTO,
            .ratio = (uint16_t)(draw(seed, RATIO, r, 3) == 0 ? 0 : BALANCE_RATIO_ONE - 60 + draw(seed, RATIO, r + 100u, 120)),
            .memory_bytes = draw(seed, AMOUNT, r, 8) == 0 ? 0 : draw(seed, AMOUNT, r + 100u, most),
        };
    }
    return count;
}

static uint64_t add(uint64_t hash, uint64_t value)
{
    return mesh_mix64(hash ^ value);
}

static uint64_t add_shares(uint64_t hash, const struct balance_load *load, const struct balance_member *member, const uint32_t *share,
                           uint16_t count)
{
    struct rowmap map;
    struct fail fail;

    assert_int_equal(rowmap_init(&map, load->model, share, count, &fail), 0);
    for (uint16_t r = 0; r < count; r++)
        hash = add(hash, share[r]);
    return add(hash, balance_step_ns(load, member, &map));
}

static void expect(const char *what, uint64_t hash, uint64_t expected)
{
    if (hash != expected)
        fail_msg("%s are others: 0x%016" PRIx64 "; if that is meant, one more for BALANCE_RULES", what, hash);
}

static void shares_are_those_of_these_rules(void **state)
{
    struct balance_member member[NODES_MAX];
    uint64_t dealt = BALANCE_RULES, fitted = BALANCE_RULES;
    unsigned missing = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct balance_load load = balance_case_load(&shapes[seed % 3]);
        uint32_t share[NODES_MAX];
        uint64_t missing_bytes;
        uint16_t count;

        balance_load_cache(&load, KV_F16, CTX, SLOTS);
        count = draw_members(seed, &load, member);
        balance_shares(&load, member, count, share);
        dealt = add_shares(dealt, &load, member, share, count);
        missing_bytes = balance_fit(&load, member, count, share);
        fitted = add(add_shares(fitted, &load, member, share, count), missing_bytes);
        missing += missing_bytes > 0;
    }
    assert_in_range(missing, SEEDS / 10, SEEDS / 2);
    expect("shares", dealt, UINT64_C(0xdc267c0d076032ee));
    expect("shares that fit", fitted, UINT64_C(0x5d78e836921135be));
}

static void ratios_are_those_of_these_rules(void **state)
{
    uint64_t hash = BALANCE_RULES;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        const uint32_t speed = (uint32_t)(1 + draw(seed, SPEED, 0, UINT32_MAX)) >> draw(seed, NEAR, 0, 32);
        const uint32_t benchmark = (uint32_t)(1 + draw(seed, SPEED, 1, UINT32_MAX)) >> draw(seed, NEAR, 1, 32);

        hash = add(hash, balance_ratio(speed > 0 ? speed : 1, benchmark > 0 ? benchmark : 1));
    }
    expect("ratios", hash, UINT64_C(0xbc3d3376858375f1));
}

/* Bit 0 is not of balance.h. */
static void what_a_member_tells_has_these_bits(void **state)
{
    const struct balance_member by_speed = {.share = BALANCE_SHARE_AUTO, .ratio = 517}, fixed = {.share = 3, .ratio = 1};

    (void)state;
    assert_int_equal(balance_flags(&by_speed), 517 << 2);
    assert_int_equal(balance_flags(&fixed), 3 << 12 | 1 << 2 | 1 << 1);
    assert_int_equal(balance_member_of(7, 3 << 12 | 1 << 2 | 1 << 1 | 1).share, 3);
    assert_int_equal(balance_member_of(7, 517 << 2 | 1).ratio, 517);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_these_rules),
        cmocka_unit_test(what_a_member_tells_has_these_bits),
        cmocka_unit_test(ratios_are_those_of_these_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
