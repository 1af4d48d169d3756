#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/kernel/kernel.h"
#include "node/kernel/kernel_train.h"

enum { COUNT = 77, ROOM = 80 };

static float x[ROOM], y[ROOM], w[ROOM];

static void fill(uint64_t seed)
{
    for (size_t i = 0; i < ROOM; i++) {
        x[i] = (float)(int64_t)(hash_words3(seed, i, 0) % 4001) * 1e-3f - 2.0f;
        y[i] = (float)(int64_t)(hash_words3(seed, i, 1) % 4001) * 1e-3f - 2.0f;
        w[i] = (float)(int64_t)(hash_words3(seed, i, 2) % 4001) * 1e-3f - 2.0f;
    }
}

/* All outputs of a function, one after the other. */
static size_t run_all(const struct kernel_train *train, float *out)
{
    const struct kernel_adamw adamw = {0.5f, 0.9f, 0.95f, 2.0f, 3.0f, 0.01f, 0.1f, 1e-8f};
    size_t used = 0;
    float max;

    fill(4);
    out[used++] = train->dot(x, y, COUNT);
    memcpy(out + used, x, sizeof x);
    out[used + ROOM] = train->exp_sum(out + used, COUNT, &max);
    out[used + ROOM + 1] = max;
    train->multiply(out + used, 0.3f, COUNT);
    used += ROOM + 2;
    memcpy(out + used, y, sizeof y);
    train->softmax_back(x, out + used, 0.2f, 0.7f, COUNT);
    used += ROOM;
    train->norm(x, 0.3f, w, COUNT, out + used);
    used += COUNT;
    memcpy(out + used, w, sizeof w);
    train->norm_back(y, x, w, 0.4f, 0.1f, COUNT, out + used, true);
    used += ROOM;
    train->norm_back(y, x, w, 0.4f, 0.1f, COUNT, out + used, false);
    used += COUNT;
    memcpy(out + used, w, sizeof w);
    train->norm_weight_back(y, x, 0.6f, COUNT, out + used);
    used += ROOM;
    train->swiglu_back(x, y, w, COUNT, out + used, out + used + COUNT);
    used += 2 * COUNT;
    memcpy(out + used, w, sizeof w);
    memcpy(out + used + ROOM, y, sizeof y);
    for (size_t i = 0; i < ROOM; i++)
        out[used + 2 * ROOM + i] = fabsf(y[i]);
    train->adamw(&adamw, x, out + used, out + used + ROOM, out + used + 2 * ROOM, COUNT);
    return used + 3 * ROOM;
}

static void every_kernel_gives_the_bits_of_the_scalar_one(void **state)
{
    static float want[20 * ROOM], got[20 * ROOM];
    const size_t count = run_all(kernel_choose("scalar")->train, want);

    (void)state;
    assert_true(count <= 20 * ROOM);
    for (size_t i = 0; kernel_at(i) != NULL; i++) {
        if (!kernel_at(i)->supported())
            continue;
        memset(got, 0, sizeof got);
        assert_int_equal(run_all(kernel_at(i)->train, got), count);
        for (size_t j = 0; j < count; j++)
            if (memcmp(&want[j], &got[j], sizeof *want) != 0)
                fail_msg("kernel %s, value %zu: %a instead of %a", kernel_at(i)->name, j, (double)got[j], (double)want[j]);
    }
}

static const struct kernel_train *train(void)
{
    return kernel_choose(NULL)->train;
}

static void a_dot_product_is_sixteen_chains_and_a_tree(void **state)
{
    float lane[16] = {0};

    (void)state;
    fill(5);
    for (size_t i = 0; i < COUNT; i++)
        lane[i % 16] = fmaf(x[i], y[i], lane[i % 16]);
    for (size_t width = 8; width > 0; width /= 2)
        for (size_t l = 0; l < width; l++)
            lane[l] += lane[l + width];
    assert_true(train()->dot(x, y, COUNT) == lane[0]);
}

static void exponentials_sum_to_what_softmax_divides_by(void **state)
{
    double sum = 0.0;
    float max, got;

    (void)state;
    fill(6);
    for (size_t i = 0; i < COUNT; i++)
        sum += exp((double)x[i] - 1.99);
    got = train()->exp_sum(x, COUNT, &max);
    assert_true(max <= 2.0f && max > 1.9f);
    assert_true(fabs((double)got * exp((double)max - 1.99) / sum - 1.0) < 1e-6);
    for (size_t i = COUNT; i < ROOM; i++)
        assert_true(x[i] == 0.0f);
}

static double swiglu(double gate, double up)
{
    return gate / (1.0 + exp(-gate)) * up;
}

static void the_derivatives_of_swiglu_agree_with_differences(void **state)
{
    float dgate[ROOM], dup[ROOM];

    (void)state;
    fill(7);
    train()->swiglu_back(x, y, w, COUNT, dgate, dup);
    for (size_t i = 0; i < COUNT; i++) {
        const double g = (double)x[i], u = (double)y[i], d = 1e-5;

        assert_true(fabs((swiglu(g + d, u) - swiglu(g - d, u)) / (2 * d) * (double)w[i] - (double)dgate[i]) < 1e-5);
        assert_true(fabs((swiglu(g, u + d) - swiglu(g, u - d)) / (2 * d) * (double)w[i] - (double)dup[i]) < 1e-5);
    }
}

/* Two steps calculated in double. */
static void adamw_is_the_published_one(void **state)
{
    double weight = 0.5, m = 0, v = 0;
    float got = 0.5f, momentum = 0, spread = 0;

    (void)state;
    for (int step = 1; step <= 2; step++) {
        const float gradient = step == 1 ? 0.25f : -1.5f;
        const struct kernel_adamw adamw = {.gradient_scale = 0.5f,
                                           .keep1 = 0.9f,
                                           .keep2 = 0.95f,
                                           .correction1 = (float)(1 / (1 - pow(0.9, step))),
                                           .correction2 = (float)(1 / (1 - pow(0.95, step))),
                                           .rate = 0.01f,
                                           .decay = 0.1f,
                                           .epsilon = 1e-8f};
        const double g = 0.5 * (double)gradient;

        m = 0.9 * m + 0.1 * g;
        v = 0.95 * v + 0.05 * g * g;
        weight -= 0.01 * (m / (1 - pow(0.9, step)) / (sqrt(v / (1 - pow(0.95, step))) + 1e-8) + 0.1 * weight);
        train()->adamw(&adamw, &gradient, &got, &momentum, &spread, 1);
        assert_true(fabs((double)got - weight) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_gives_the_bits_of_the_scalar_one),
        cmocka_unit_test(a_dot_product_is_sixteen_chains_and_a_tree),
        cmocka_unit_test(exponentials_sum_to_what_softmax_divides_by),
        cmocka_unit_test(the_derivatives_of_swiglu_agree_with_differences),
        cmocka_unit_test(adamw_is_the_published_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
