#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/kernel/gemm.h"
#include "node/kernel/kernel.h"

enum { ROWS = 61, COLUMNS = 67, PRODUCTS = 531, STRIDE = 540 };

static float a[STRIDE * STRIDE], b[STRIDE * STRIDE], c[ROWS * STRIDE], want[ROWS * STRIDE];

static void fill(void)
{
    for (size_t i = 0; i < STRIDE * STRIDE; i++) {
        a[i] = (float)(int64_t)(hash_words3(1, i, 0) % 2001) * 1e-3f - 1.0f;
        b[i] = (float)(int64_t)(hash_words3(2, i, 0) % 2001) * 1e-3f - 1.0f;
    }
    for (size_t i = 0; i < ROWS * STRIDE; i++)
        c[i] = want[i] = (float)(i % 11);
}

/* The definition: one chain per element. */
static void expect(const struct gemm *gemm)
{
    for (size_t row = 0; row < gemm->rows; row++)
        for (size_t column = 0; column < gemm->columns; column++) {
            float acc = gemm->accumulate ? want[row * gemm->c_row + column] : 0.0f;

            for (size_t k = 0; k < gemm->k_count; k++)
                acc = fmaf(gemm->a[row * gemm->a_row + k * gemm->a_k], gemm->b[k * gemm->b_k + column * gemm->b_column], acc);
            want[row * gemm->c_row + column] = acc;
        }
}

static void each_element_is_one_chain_whatever_the_shape_and_the_strides(void **state)
{
    static const size_t sizes[] = {1, 2, 5, 12, 13, 16, 31, 32, 33, 61};
    float *scratch = aligned_alloc(64, GEMM_SCRATCH * sizeof(float));

    (void)state;
    for (size_t kernel = 0; kernel_at(kernel) != NULL; kernel++) {
        if (!kernel_at(kernel)->supported())
            continue;
        for (size_t i = 0; i < 40; i++) {
            struct gemm gemm = {.rows = sizes[hash_words3(3, i, 0) % 10],
                                .columns = sizes[hash_words3(3, i, 1) % 10],
                                .k_count = 1 + hash_words3(3, i, 2) % PRODUCTS,
                                .a = a,
                                .a_row = i % 2 == 0 ? STRIDE : 1,
                                .a_k = i % 2 == 0 ? 1 : STRIDE,
                                .b = b,
                                .b_k = i / 2 % 2 == 0 ? STRIDE : 1,
                                .b_column = i / 2 % 2 == 0 ? 1 : STRIDE,
                                .c = c,
                                .c_row = COLUMNS,
                                .accumulate = i / 4 % 2 == 0};

            fill();
            expect(&gemm);
            gemm_run(kernel_at(kernel)->train, &gemm, scratch);
            assert_memory_equal(c, want, sizeof want);
        }
    }
    free(scratch);
}

static void tasks_write_every_element_once_in_any_order(void **state)
{
    float *scratch = aligned_alloc(64, GEMM_SCRATCH * sizeof(float));
    const struct kernel_train *train = kernel_choose(NULL)->train;
    const struct gemm gemm = {.rows = ROWS,
                              .columns = COLUMNS,
                              .k_count = PRODUCTS,
                              .a = a,
                              .a_row = STRIDE,
                              .a_k = 1,
                              .b = b,
                              .b_k = STRIDE,
                              .b_column = 1,
                              .c = c,
                              .c_row = COLUMNS,
                              .accumulate = true};

    (void)state;
    for (size_t wanted = 1; wanted < 40; wanted += 13) {
        fill();
        expect(&gemm);
        for (size_t task = gemm_tasks(train, &gemm, wanted); task-- > 0;)
            gemm_task(train, &gemm, wanted, task, scratch);
        assert_memory_equal(c, want, sizeof want);
    }
    free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_one_chain_whatever_the_shape_and_the_strides),
        cmocka_unit_test(tasks_write_every_element_once_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
