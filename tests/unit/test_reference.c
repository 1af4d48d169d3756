/* Logits compared with those of another program, computed in f32 on the dequantised weights; see the README of the models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "tests/unit/model_folder.h"
#include "tests/unit/model_logits.h"

enum { POSITIONS = 16, VOCAB = 512 };

static uint32_t ids[POSITIONS] = {1, 400, 17, 311, 263, 500, 88, 301, 45, 402, 9, 270, 333, 120, 410, 260};

static void read_reference(const char *path, float out[POSITIONS][VOCAB])
{
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    for (int p = 0; p < POSITIONS; p++) {
        int position;

        assert_int_equal(fscanf(file, "%d", &position), 1);
        assert_int_equal(position, p);
        for (int i = 0; i < VOCAB; i++)
            assert_int_equal(fscanf(file, "%f", &out[p][i]), 1);
    }
    fclose(file);
}

/* Root of (sum of squared differences / sum of squared references) over all positions. */
static double distance_of(const char *type, uint16_t ranks)
{
    static float reference[POSITIONS][VOCAB], ours[POSITIONS][VOCAB];
    char name[64], path[MODEL_PATH_MAX];
    double difference = 0, total = 0;
    struct fail fail = {0};

    snprintf(name, sizeof name, "ref-%s.logits.txt", type);
    if (!model_folder_path(name, path))
        skip();
    read_reference(path, reference);
    snprintf(name, sizeof name, "ref-%s.gguf", type);
    assert_true(model_folder_path(name, path));
    struct gguf *gguf = gguf_open(path, &fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, &fail);
    if (model == NULL)
        fail_msg("%s", fail.text);
    model_logits(model, ranks, KV_F16, ids, POSITIONS, &ours[0][0]);
    for (int p = 0; p < POSITIONS; p++) {
        for (int i = 0; i < VOCAB; i++) {
            double error = (double)ours[p][i] - (double)reference[p][i];

            difference += error * error;
            total += (double)reference[p][i] * (double)reference[p][i];
        }
    }
    model_close(model);
    gguf_close(gguf);
    return sqrt(difference / total);
}

static void float_types_are_within_two_permille(void **state)
{
    static const char *const types[] = {"f32", "f16", "bf16"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        double distance = distance_of(types[i], 1);

        print_message("%s %.5f\n", types[i], distance);
        assert_true(distance <= 0.002);
    }
}

static void quantised_types_are_within_four_percent(void **state)
{
    static const char *const types[] = {"q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k_s", "q4_k_s", "q5_k_s", "q6_k"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        double distance = distance_of(types[i], 1);

        print_message("%s %.5f\n", types[i], distance);
        assert_true(distance <= 0.04);
    }
}

static void two_nodes_are_as_near_as_one(void **state)
{
    (void)state;
    assert_true(distance_of("q4_k_s", 2) == distance_of("q4_k_s", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_types_are_within_two_permille),
        cmocka_unit_test(quantised_types_are_within_four_percent),
        cmocka_unit_test(two_nodes_are_as_near_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
