/* Attention of every kernel: the scalar one against double precision, the others against the scalar one bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/canon.h"
#include "node/common/hash.h"
#include "node/kernel/kernel.h"

enum { POSITIONS_MAX = 700, HEAD_DIM_MAX = 136, HEADS_MAX = 11 };

/* One KV head with its cache, and the queries of the heads that share it. */
struct attend_case {
    float k[POSITIONS_MAX * HEAD_DIM_MAX]; /* (positions, head_dim) */
    float v[POSITIONS_MAX * HEAD_DIM_MAX];
    float q[HEADS_MAX * HEAD_DIM_MAX];
    uint8_t *k_cache, *v_cache;
    float *scratch;
    uint32_t heads, head_dim, positions;
    enum kv_type type;
    float scale;
};

static struct attend_case attended;

static float uniform(uint64_t seed, size_t index)
{
    return (float)(int32_t)hash_words3(seed, index, 1) * 0x1p-31f;
}

/* Caches are filled with `garbage` before the positions are stored, with room for 16 more. */
static void make_case(enum kv_type type, uint32_t heads, uint32_t head_dim, uint32_t positions, uint64_t seed, int garbage)
{
    struct attend_case *c = &attended;
    size_t bytes = kernel_kv_bytes(type, head_dim, positions + 16);

    assert_true(heads <= HEADS_MAX && head_dim <= HEAD_DIM_MAX && positions <= POSITIONS_MAX);
    assert_int_equal(bytes % 64, 0);
    c->type = type;
    c->heads = heads;
    c->head_dim = head_dim;
    c->positions = positions;
    c->scale = 1.0f / sqrtf((float)head_dim);
    c->k_cache = aligned_alloc(64, bytes);
    c->v_cache = aligned_alloc(64, bytes);
    c->scratch = malloc(kernel_attend_scratch_floats(heads, positions) * sizeof(float));
    if (c->k_cache == NULL || c->v_cache == NULL || c->scratch == NULL)
        abort();
    memset(c->k_cache, garbage, bytes);
    memset(c->v_cache, garbage, bytes);
    memset(c->scratch, garbage, kernel_attend_scratch_floats(heads, positions) * sizeof(float));
    for (size_t i = 0; i < (size_t)positions * head_dim; i++) {
        c->k[i] = uniform(seed, i) * 4.0f;
        c->v[i] = uniform(seed + 1, i);
    }
    for (size_t i = 0; i < (size_t)heads * head_dim; i++)
        c->q[i] = uniform(seed + 2, i) * 3.0f;
    for (uint32_t p = 0; p < positions; p++)
        kernel_kv_store(type, head_dim, p, c->k + p * head_dim, c->v + p * head_dim, c->k_cache, c->v_cache);
}

static void free_case(void)
{
    free(attended.k_cache);
    free(attended.v_cache);
    free(attended.scratch);
}

/* Heads from first_head on. */
static void run_heads(const struct kernel *kernel, uint32_t first_head, uint32_t heads, float *out)
{
    const struct attend_case *c = &attended;
    struct attend attend = {
        .q = c->q + first_head * c->head_dim,
        .k = c->k_cache,
        .v = c->v_cache,
        .scratch = c->scratch,
        .heads = heads,
        .head_dim = c->head_dim,
        .positions = c->positions,
        .scale = c->scale,
        .type = c->type,
    };

    attend.out = out + first_head * c->head_dim;
    kernel->attend(&attend);
}

static void reference(double *out)
{
    const struct attend_case *c = &attended;
    double weight[POSITIONS_MAX];

    for (uint32_t h = 0; h < c->heads; h++) {
        double largest = -INFINITY, sum = 0.0;

        for (uint32_t j = 0; j < c->positions; j++) {
            weight[j] = 0.0;
            for (uint32_t i = 0; i < c->head_dim; i++)
                weight[j] += (double)c->q[h * c->head_dim + i] * (double)c->k[j * c->head_dim + i];
            weight[j] *= (double)c->scale;
            largest = fmax(largest, weight[j]);
        }
        for (uint32_t j = 0; j < c->positions; j++)
            sum += weight[j] = exp(weight[j] - largest);
        for (uint32_t i = 0; i < c->head_dim; i++) {
            out[h * c->head_dim + i] = 0.0;
            for (uint32_t j = 0; j < c->positions; j++)
                out[h * c->head_dim + i] += weight[j] / sum * (double)c->v[j * c->head_dim + i];
        }
    }
}

static void attention_is_a_softmax_over_the_cache(void **state)
{
    static const double tolerance[KV_TYPE_COUNT] = {[KV_F16] = 4e-3, [KV_F32] = 3e-6, [KV_Q8_0] = 6e-2};
    static const uint32_t positions[] = {1, 2, 15, 16, 17, 100, 255, 256, 257, 513, 700};

    (void)state;
    for (unsigned n = 0; n < 33; n++) {
        float out[HEADS_MAX * HEAD_DIM_MAX];
        double exact[HEADS_MAX * HEAD_DIM_MAX];

        make_case((enum kv_type)(n % 3), 1 + n % 4, n % 2 ? 64 : 1 + 4 * n, positions[n % 11], n, 0);
        run_heads(kernel_choose("scalar"), 0, attended.heads, out);
        reference(exact);
        for (size_t i = 0; i < (size_t)attended.heads * attended.head_dim; i++)
            if (!(fabs((double)out[i] - exact[i]) < tolerance[attended.type]))
                fail_msg("case %u: %zu is %g, exactly %g", n, i, (double)out[i], exact[i]);
        free_case();
    }
}

static void every_kernel_attends_with_the_same_bits(void **state)
{
    static const uint32_t head_dims[] = {64, 128, 1, 3, 8, 16, 31, 33, 48, 80, 100, 127, 136};

    (void)state;
    for (unsigned n = 0; n < 156; n++) {
        float expected[HEADS_MAX * HEAD_DIM_MAX], found[HEADS_MAX * HEAD_DIM_MAX];

        make_case((enum kv_type)(n % 3), 1 + n % HEADS_MAX, head_dims[n % 13], 1 + (uint32_t)(hash_mix64(n) % POSITIONS_MAX), n, 0);
        run_heads(kernel_choose("scalar"), 0, attended.heads, expected);
        for (size_t k = 1; kernel_at(k) != NULL; k++) {
            if (!kernel_at(k)->supported())
                continue;
            run_heads(kernel_at(k), 0, attended.heads, found);
            if (memcmp(found, expected, sizeof(float) * attended.heads * attended.head_dim) != 0)
                fail_msg("%s differs: cache type %d, %u heads of %u, %u positions", kernel_at(k)->name, (int)attended.type, attended.heads,
                         attended.head_dim, attended.positions);
        }
        free_case();
    }
}

static void what_stands_beyond_the_positions_does_not_matter(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 60; n++) {
        for (size_t k = 0; kernel_at(k) != NULL; k++) {
            float expected[HEADS_MAX * HEAD_DIM_MAX], found[HEADS_MAX * HEAD_DIM_MAX];
            uint32_t head_dim = n % 2 ? 40 : 5 + n;

            if (!kernel_at(k)->supported())
                continue;
            make_case((enum kv_type)(n % 3), 5, head_dim, 1 + n * 9, n, 0);
            run_heads(kernel_at(k), 0, 5, expected);
            free_case();
            make_case((enum kv_type)(n % 3), 5, head_dim, 1 + n * 9, n, 0xff); /* NaN in every type */
            run_heads(kernel_at(k), 0, 5, found);
            free_case();
            assert_memory_equal(found, expected, sizeof(float) * 5 * head_dim);
        }
    }
}

static void heads_may_be_grouped_in_any_way(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 12; n++) {
        for (size_t k = 0; kernel_at(k) != NULL; k++) {
            float together[HEADS_MAX * HEAD_DIM_MAX], apart[HEADS_MAX * HEAD_DIM_MAX];

            if (!kernel_at(k)->supported())
                continue;
            make_case((enum kv_type)(n % 3), HEADS_MAX, 24 + 8 * n, 50 * n + 1, n, 0);
            run_heads(kernel_at(k), 0, HEADS_MAX, together);
            for (uint32_t h = 0, heads = 1; h < HEADS_MAX; h += heads, heads = heads % 3 + 1)
                run_heads(kernel_at(k), h, h + heads > HEADS_MAX ? HEADS_MAX - h : heads, apart);
            assert_memory_equal(apart, together, sizeof(float) * HEADS_MAX * attended.head_dim);
            free_case();
        }
    }
}

/* Scores far apart, and all weight on one position. */
static void extreme_scores_are_the_same_in_every_kernel(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 9; n++) {
        float expected[HEADS_MAX * HEAD_DIM_MAX], found[HEADS_MAX * HEAD_DIM_MAX];

        make_case((enum kv_type)(n % 3), 4, 64, 300, n, 0);
        attended.scale = n < 3 ? 0.0f : n < 6 ? 1e4f : -3e37f;
        run_heads(kernel_choose("scalar"), 0, 4, expected);
        for (size_t k = 1; kernel_at(k) != NULL; k++) {
            if (!kernel_at(k)->supported())
                continue;
            run_heads(kernel_at(k), 0, 4, found);
            for (size_t i = 0; i < 256; i++)
                assert_true(canon_bits(found[i]) == canon_bits(expected[i]) || (found[i] != found[i] && expected[i] != expected[i]));
        }
        free_case();
    }
}

/* A value that is not finite makes the heads that see it NaN or infinite; this is noticed when z is quantised. */
static void a_value_that_is_not_finite_shows(void **state)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN};

    (void)state;
    for (unsigned n = 0; n < 9; n++) {
        for (size_t k = 0; kernel_at(k) != NULL; k++) {
            float out[HEADS_MAX * HEAD_DIM_MAX];

            if (!kernel_at(k)->supported())
                continue;
            make_case((enum kv_type)(n % 3), 3, 32, 40, n, 0);
            attended.v[(size_t)20 * 32 + 7] = bad[n / 3];
            kernel_kv_store(attended.type, 32, 20, attended.k + (size_t)20 * 32, attended.v + (size_t)20 * 32, attended.k_cache,
                            attended.v_cache);
            run_heads(kernel_at(k), 0, 3, out);
            for (uint32_t h = 0; h < 3; h++)
                assert_true(!(fabsf(out[h * 32 + 7]) < INFINITY));
            free_case();
        }
    }
}

/* Integers of a block whose scale is 1 are read back unchanged. */
static void a_q8_0_cache_keeps_what_fits(void **state)
{
    float out[64];

    (void)state;
    make_case(KV_Q8_0, 1, 64, 1, 0, 0xff);
    for (size_t i = 0; i < 64; i++)
        attended.v[i] = (float)((int)i * 2 - 64);
    attended.v[5] = 127.0f;
    attended.v[50] = -127.0f;
    kernel_kv_store(KV_Q8_0, 64, 0, attended.k, attended.v, attended.k_cache, attended.v_cache);
    run_heads(kernel_choose("scalar"), 0, 1, out);
    assert_memory_equal(out, attended.v, sizeof out);
    free_case();
}

static int prepare(void **state)
{
    (void)state;
    kernel_thread_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_a_softmax_over_the_cache),
        cmocka_unit_test(every_kernel_attends_with_the_same_bits),
        cmocka_unit_test(what_stands_beyond_the_positions_does_not_matter),
        cmocka_unit_test(heads_may_be_grouped_in_any_way),
        cmocka_unit_test(extreme_scores_are_the_same_in_every_kernel),
        cmocka_unit_test(a_value_that_is_not_finite_shows),
        cmocka_unit_test(a_q8_0_cache_keeps_what_fits),
    };

    return cmocka_run_group_tests(tests, prepare, NULL);
}
