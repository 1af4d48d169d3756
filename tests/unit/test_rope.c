/* Rope frequencies and tables against the formulas in double precision with libm, and what is read from GGUF metadata. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/canon.h"
#include "node/gguf/gguf.h"
#include "node/gguf/tensor_type.h"
#include "node/model/architecture.h"
#include "node/model/rope.h"

static struct rope_config config;
static struct fail failure;

static void assert_table(uint32_t position, const double *angle_per_position, double magnitude)
{
    float cosine[ROPE_PAIRS_MAX], sine[ROPE_PAIRS_MAX];

    rope_table(&config, position, cosine, sine);
    for (uint32_t i = 0; i < config.pairs; i++) {
        double angle = position * angle_per_position[i];
        double tolerance = 1e-7 + 1e-14 * angle;

        assert_true(fabs((double)cosine[i] - magnitude * cos(angle)) < magnitude * tolerance);
        assert_true(fabs((double)sine[i] - magnitude * sin(angle)) < magnitude * tolerance);
    }
}

static const uint32_t some_positions[] = {0, 1, 2, 77, 4095, 131071, 1000003, ROPE_POSITIONS_MAX - 1};

static void plain_rope_turns_by_powers_of_the_base(void **state)
{
    static const float bases[] = {10000.0f, 500000.0f, 1e6f, 1.0f};
    static const uint32_t dimensions[] = {2, 8, 64, 80, 128, 512};

    (void)state;
    for (size_t b = 0; b < 4; b++)
        for (size_t d = 0; d < 6; d++) {
            struct rope_parameters p;
            double angle[ROPE_PAIRS_MAX] = {0};

            rope_parameters_default(dimensions[d], &p);
            p.freq_base = bases[b];
            assert_int_equal(rope_config_init(&config, &p, NULL, &failure), 0);
            assert_int_equal(config.pairs, dimensions[d] / 2);
            for (uint32_t i = 0; i < config.pairs; i++)
                angle[i] = pow((double)bases[b], -2.0 * i / dimensions[d]);
            for (size_t n = 0; n < 8; n++)
                assert_table(some_positions[n], angle, 1.0);
        }
}

static void linear_scaling_slows_every_pair(void **state)
{
    struct rope_parameters p;
    double angle[64];

    (void)state;
    rope_parameters_default(128, &p);
    p.scaling = ROPE_SCALING_LINEAR;
    p.factor = 2.5f;
    assert_int_equal(rope_config_init(&config, &p, NULL, &failure), 0);
    for (int i = 0; i < 64; i++)
        angle[i] = pow(10000.0, -i / 64.0) / 2.5;
    for (size_t n = 0; n < 8; n++)
        assert_table(some_positions[n], angle, 1.0);
}

static void divisors_slow_their_pairs(void **state)
{
    struct rope_parameters p;
    float divisors[32];
    double angle[32];

    (void)state;
    rope_parameters_default(64, &p);
    p.freq_base = 500000.0f;
    for (int i = 0; i < 32; i++) {
        divisors[i] = i < 12 ? 1.0f : i < 20 ? 1.0f + (float)(i - 12) * 0.9f : 8.0f;
        angle[i] = pow(500000.0, -i / 32.0) / (double)divisors[i];
    }
    assert_int_equal(rope_config_init(&config, &p, divisors, &failure), 0);
    for (size_t n = 0; n < 8; n++)
        assert_table(some_positions[n], angle, 1.0);
}

/* The paper's method with the meaning of GGUF's parameters. */
static void yarn_keeps_fast_pairs_and_slows_slow_ones(void **state)
{
    const double base = 10000.0, dimensions = 128.0, original = 4096.0, factor = 16.0, two_pi = 2.0 * 3.14159265358979323846;
    double low = floor(dimensions * log(original / (32.0 * two_pi)) / (2.0 * log(base)));
    double high = ceil(dimensions * log(original / (1.0 * two_pi)) / (2.0 * log(base)));
    struct rope_parameters p;
    double angle[64];

    (void)state;
    rope_parameters_default(128, &p);
    p.scaling = ROPE_SCALING_YARN;
    p.factor = 16.0f;
    p.original_context = 4096;
    assert_int_equal(rope_config_init(&config, &p, NULL, &failure), 0);
    for (int i = 0; i < 64; i++) {
        double own = pow(base, -2.0 * i / dimensions);
        double slope = fmin(1.0, fmax(0.0, (i - low) / (high - low)));

        angle[i] = own * (1.0 - slope) + own / factor * slope;
    }
    assert_true(fabs(config.frequency[0] - 1.0) < 1e-15);
    assert_true(fabs(config.frequency[63] * factor - pow(base, -63.0 / 64.0)) < 1e-15);
    for (size_t n = 0; n < 8; n++)
        assert_table(some_positions[n], angle, 1.0 + 0.1 * log(factor));
}

/* In f64, and rounded at the end, it would be 0x1.4ac462p+0. */
static void the_magnitude_is_computed_in_f32(void **state)
{
    struct rope_parameters p;

    (void)state;
    rope_parameters_default(16, &p);
    p.scaling = ROPE_SCALING_YARN;
    p.factor = 1.4f;
    p.original_context = 100;
    p.attn_factor = 1.25f;
    assert_int_equal(rope_config_init(&config, &p, NULL, &failure), 0);
    assert_true(config.magnitude == 0x1.4ac46p+0f);
}

static void yarn_without_its_mix_is_linear_and_keeps_the_magnitude(void **state)
{
    struct rope_parameters p;

    (void)state;
    rope_parameters_default(16, &p);
    p.scaling = ROPE_SCALING_YARN;
    p.factor = 4.0f;
    p.original_context = 100;
    p.ext_factor = 0.0f;
    p.attn_factor = 0.5f;
    assert_int_equal(rope_config_init(&config, &p, NULL, &failure), 0);
    assert_true(config.magnitude == 0.5f);
    for (int i = 0; i < 8; i++)
        assert_true(fabs(config.frequency[i] - pow(10000.0, -i / 8.0) / 4.0) < 1e-16);
}

static void a_position_does_not_depend_on_those_asked_before(void **state)
{
    float cosine[2][32], sine[2][32], other[32];
    struct rope_parameters p;

    (void)state;
    rope_parameters_default(64, &p);
    assert_int_equal(rope_config_init(&config, &p, NULL, &failure), 0);
    rope_table(&config, 900, cosine[0], sine[0]);
    for (uint32_t position = 1000; position-- > 901;)
        rope_table(&config, position, other, other);
    rope_table(&config, 900, cosine[1], sine[1]);
    assert_memory_equal(cosine[0], cosine[1], sizeof cosine[0]);
    assert_memory_equal(sine[0], sine[1], sizeof sine[0]);
}

static void refused(const struct rope_parameters *p, const char *text)
{
    config.pairs = 12345;
    assert_int_equal(rope_config_init(&config, p, NULL, &failure), -1);
    assert_int_equal(failure.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(failure.text, text));
    assert_int_equal(config.pairs, 12345);
}

static void parameters_out_of_range_are_refused_by_name(void **state)
{
    struct rope_parameters good, p;

    (void)state;
    rope_parameters_default(64, &good);
    p = good, p.dimension_count = 63;
    refused(&p, "dimension_count is 63");
    p = good, p.dimension_count = 0;
    refused(&p, "dimension_count is 0");
    p = good, p.dimension_count = 2 * ROPE_PAIRS_MAX + 2;
    refused(&p, "dimension_count");
    p = good, p.freq_base = 0.0f;
    refused(&p, "freq_base");
    p = good, p.freq_base = NAN;
    refused(&p, "freq_base");
    p = good, p.factor = 0.5f;
    refused(&p, "factor");
    p = good, p.attn_factor = INFINITY;
    refused(&p, "attention factor");
    good.scaling = ROPE_SCALING_YARN;
    refused(&good, "original context length is 0");
    good.original_context = 4096;
    p = good, p.ext_factor = -1.0f;
    refused(&p, "ext_factor");
    p = good, p.beta_slow = 0.0f;
    refused(&p, "beta_slow");
    p = good, p.freq_base = 1.0f;
    refused(&p, "freq_base");
}

/* A GGUF file in memory, written value by value. */
static struct {
    uint8_t bytes[4096];
    size_t size;
} file;

static void put(const void *data, size_t size)
{
    assert_true(file.size + size <= sizeof file.bytes);
    memcpy(file.bytes + file.size, data, size);
    file.size += size;
}

static void put_u32(uint32_t x)
{
    put(&x, 4);
}

static void put_u64(uint64_t x)
{
    put(&x, 8);
}

static void put_text(const char *text)
{
    put_u64(strlen(text));
    put(text, strlen(text));
}

static void begin(uint64_t tensors)
{
    file.size = 0;
    put("GGUF", 4);
    put_u32(3);
    put_u64(tensors);
    put_u64(1); /* incremented by each add_ */
    put_text("general.architecture");
    put_u32(GGUF_STRING);
    put_text("llama");
}

static void add_key(const char *key, enum gguf_value_type type)
{
    file.bytes[16]++;
    put_text(key);
    put_u32(type);
}

static void add_uint(const char *key, uint32_t x)
{
    add_key(key, GGUF_U32);
    put_u32(x);
}

static void add_float(const char *key, float x)
{
    add_key(key, GGUF_F32);
    put(&x, 4);
}

static void add_text(const char *key, const char *text)
{
    add_key(key, GGUF_STRING);
    put_text(text);
}

/* The only tensor, last. */
static void add_divisors(uint32_t type, uint32_t count, float value)
{
    put_text("rope_freqs.weight");
    put_u32(1);
    put_u64(count);
    put_u32(type);
    put_u64(0);
    while (file.size % 32 != 0)
        put("", 1);
    for (uint32_t i = 0; i < count; i++)
        put(&value, type == TYPE_F32 ? 4 : 2);
}

static int read_file(uint32_t head_dim)
{
    struct gguf *gguf = gguf_parse("rope.gguf", file.bytes, file.size, &failure);
    int result;

    if (gguf == NULL)
        fail_msg("%s", failure.text);
    result = rope_config_from_gguf(gguf, architecture_find("llama", 5), head_dim, &config, &failure);
    gguf_close(gguf);
    return result;
}

static void a_file_that_declares_nothing_has_plain_rope(void **state)
{
    struct rope_parameters p;
    struct rope_config expected;

    (void)state;
    begin(0);
    assert_int_equal(read_file(48), 0);
    rope_parameters_default(48, &p);
    assert_int_equal(rope_config_init(&expected, &p, NULL, &failure), 0);
    assert_int_equal(config.pairs, 24);
    assert_memory_equal(config.frequency, expected.frequency, 24 * sizeof(double));
}

static void declared_values_are_read(void **state)
{
    (void)state;
    begin(0);
    add_uint("llama.rope.dimension_count", 32);
    add_float("llama.rope.freq_base", 500000.0f);
    add_text("llama.rope.scaling.type", "linear");
    add_float("llama.rope.scaling.factor", 4.0f);
    add_float("llama.rope.scaling.attn_factor", 0.75f);
    assert_int_equal(read_file(64), 0);
    assert_int_equal(config.pairs, 16);
    assert_true(config.magnitude == 0.75f);
    assert_true(fabs(config.frequency[3] - pow(500000.0, -3.0 / 16.0) / 4.0) < 1e-15);

    begin(0);
    add_float("llama.rope.scale_linear", 8.0f);
    assert_int_equal(read_file(64), 0);
    assert_true(config.frequency[0] == 0.125);

    begin(0);
    add_text("llama.rope.scaling.type", "none");
    add_float("llama.rope.scaling.factor", 8.0f);
    assert_int_equal(read_file(64), 0);
    assert_true(config.frequency[0] == 1.0);

    begin(0);
    add_uint("llama.context_length", 65536);
    add_text("llama.rope.scaling.type", "yarn");
    add_float("llama.rope.scaling.factor", 16.0f);
    add_uint("llama.rope.scaling.original_context_length", 4096);
    add_float("llama.rope.scaling.yarn_attn_factor", 2.0f);
    assert_int_equal(read_file(128), 0);
    assert_true(fabs((double)config.magnitude - 2.0 * (1.0 + 0.1 * log(16.0))) < 1e-6);
    assert_true(config.frequency[0] == 1.0);
    assert_true(fabs(config.frequency[63] * 16.0 - pow(10000.0, -63.0 / 64.0)) < 1e-15);
}

static void divisors_are_read_from_their_tensor(void **state)
{
    (void)state;
    begin(1);
    add_divisors(TYPE_F32, 32, 2.0f);
    assert_int_equal(read_file(64), 0);
    assert_true(config.frequency[0] == 0.5);

    begin(1);
    add_divisors(TYPE_F32, 31, 2.0f);
    assert_int_equal(read_file(64), -1);
    assert_non_null(strstr(failure.text, "31 columns, expected one row of 32"));

    begin(1);
    add_divisors(TYPE_F16, 32, 2.0f);
    assert_int_equal(read_file(64), -1);
    assert_non_null(strstr(failure.text, "type f16, expected f32"));

    begin(1);
    add_divisors(TYPE_F32, 32, 0.0f);
    assert_int_equal(read_file(64), -1);
    assert_non_null(strstr(failure.text, "rope_freqs.weight"));
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
    (void)state;
    begin(0);
    add_text("llama.rope.scaling.type", "longrope");
    assert_int_equal(read_file(64), -1);
    assert_int_equal(failure.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(failure.text, "'longrope' is not supported"));

    begin(0);
    add_text("llama.rope.scaling.type", "\033[2J"); /* which would clear a terminal */
    assert_int_equal(read_file(64), -1);
    assert_non_null(strstr(failure.text, "'?[2J' is not supported"));

    begin(0);
    add_uint("llama.rope.dimension_count", 66);
    assert_int_equal(read_file(64), -1);
    assert_non_null(strstr(failure.text, "found 66, expected at most 64"));

    begin(0);
    add_uint("llama.rope.dimension_count", 2 * ROPE_PAIRS_MAX + 2);
    assert_int_equal(read_file(1024), -1);
    assert_non_null(strstr(failure.text, "'llama.rope.dimension_count': 514 is not supported"));

    begin(0);
    add_text("llama.rope.freq_base", "fast");
    assert_int_equal(read_file(64), -1);
    assert_non_null(strstr(failure.text, "llama.rope.freq_base"));
}

/* The architecture is read once; another one would have no such keys, and plain rope. */
static void a_file_whose_architecture_is_overwritten_keeps_what_it_declared(void **state)
{
    struct gguf *gguf;
    char *name;

    (void)state;
    begin(0);
    add_float("llama.rope.freq_base", 500000.0f);
    gguf = gguf_parse("rope.gguf", file.bytes, file.size, &failure);
    assert_non_null(gguf);
    name = memmem(file.bytes, file.size, "llama", 5);
    memcpy(name, "qwen2", 5);
    assert_int_equal(rope_config_from_gguf(gguf, architecture_find("llama", 5), 64, &config, &failure), 0);
    assert_true(fabs(config.frequency[16] - 1 / sqrt(500000.0)) < 1e-9);
    gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rope_turns_by_powers_of_the_base),
        cmocka_unit_test(linear_scaling_slows_every_pair),
        cmocka_unit_test(divisors_slow_their_pairs),
        cmocka_unit_test(yarn_keeps_fast_pairs_and_slows_slow_ones),
        cmocka_unit_test(the_magnitude_is_computed_in_f32),
        cmocka_unit_test(yarn_without_its_mix_is_linear_and_keeps_the_magnitude),
        cmocka_unit_test(a_position_does_not_depend_on_those_asked_before),
        cmocka_unit_test(parameters_out_of_range_are_refused_by_name),
        cmocka_unit_test(a_file_that_declares_nothing_has_plain_rope),
        cmocka_unit_test(declared_values_are_read),
        cmocka_unit_test(a_file_whose_architecture_is_overwritten_keeps_what_it_declared),
        cmocka_unit_test(divisors_are_read_from_their_tensor),
        cmocka_unit_test(what_is_not_supported_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
