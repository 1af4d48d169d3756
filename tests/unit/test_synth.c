#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/gguf/gguf.h"
#include "node/model/model.h"
#include "node/synth/synth.h"
#include "node/synth/synth_vocab.h"
#include "tests/unit/sha256.h"
#include "tests/unit/type_rows.h"

static const struct synth_options small = {
    .dim = 256, .hidden = 512, .layers = 2, .heads = 8, .kv_heads = 2, .vocab = 400, .context = 64, .type = TYPE_Q8_0, .seed = 1};

static char folder[] = "/tmp/test_synth.XXXXXX";
static char model_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(model_path, sizeof model_path, "%s/model.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(model_path);
    return rmdir(folder); /* fails when a file is left behind */
}

static struct gguf *synth(const struct synth_options *options)
{
    struct fail fail;

    if (synth_write(options, model_path, &fail) < 0)
        fail_msg("%s", fail.text);

    struct gguf *gguf = gguf_open(model_path, &fail);

    if (gguf == NULL)
        fail_msg("%s", fail.text);
    return gguf;
}

struct spread {
    double mean;
    double deviation;
};

static struct spread spread_of_rows(const struct gguf *gguf, const char *name, uint64_t first_row)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, name);

    assert_non_null(tensor);

    const enum tensor_type type = (enum tensor_type)tensor->type;
    const size_t columns = (size_t)tensor->dims[0];
    const uint64_t count = (tensor->dims[1] - first_row) * columns;
    float *row = malloc(columns * sizeof *row);
    double sum = 0;
    double squares = 0;

    assert_non_null(row);
    for (uint64_t r = first_row; r < tensor->dims[1]; r++) {
        tensor_type_dequantise(type, tensor->data + r * tensor_type_bytes(type, columns), columns, row);
        for (size_t c = 0; c < columns; c++) {
            sum += (double)row[c];
            squares += (double)row[c] * (double)row[c];
        }
    }
    free(row);
    return (struct spread){sum / (double)count, sqrt(squares / (double)count)};
}

static void check_spread(const struct gguf *gguf, const char *name, uint64_t first_row, double expected)
{
    const struct spread spread = spread_of_rows(gguf, name, first_row);

    if (!(fabs(spread.deviation / expected - 1) < 0.05) || !(fabs(spread.mean) < 0.02 * expected))
        fail_msg("%s: mean %g, deviation %g, expected 0 and %g", name, spread.mean, spread.deviation, expected);
}

static void weights_of_every_type_have_the_spread_that_keeps_activations_near_one(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        struct synth_options options = small;

        if (tensor_type_info(type) == NULL)
            continue;
        options.type = (enum tensor_type)type;

        struct gguf *gguf = synth(&options);

        check_spread(gguf, "token_embd.weight", 0, 1);
        check_spread(gguf, "blk.1.attn_q.weight", 0, 1 / sqrt(256));
        check_spread(gguf, "blk.1.attn_v.weight", 0, 1 / sqrt(256));
        check_spread(gguf, "blk.0.attn_output.weight", 0, 1 / sqrt(256 * 4));
        check_spread(gguf, "blk.0.ffn_gate.weight", 0, 1 / sqrt(256));
        check_spread(gguf, "blk.1.ffn_down.weight", 0, 1 / sqrt(512 * 4));
        check_spread(gguf, "output.weight", SYNTH_VOCAB_TEXT, sqrt(6) / sqrt(256));
        gguf_close(gguf);
    }
}

static void norm_weights_vary_around_one(void **state)
{
    struct gguf *gguf = synth(&small);
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, "blk.1.ffn_norm.weight");
    float values[256];

    (void)state;
    assert_int_equal(tensor->type, TYPE_F32);
    assert_int_equal(tensor->dim_count, 1);
    tensor_type_dequantise(TYPE_F32, tensor->data, 256, values);
    for (int i = 0; i < 256; i++)
        assert_true(values[i] >= 0.75f && values[i] < 1.25f);
    assert_true(values[0] != values[1]);
    gguf_close(gguf);
}

static void check_shape(const struct gguf *gguf, const char *name, uint64_t columns, uint64_t rows)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, name);

    assert_non_null(tensor);
    assert_int_equal(tensor->dims[0], columns);
    assert_int_equal(tensor->dims[1], rows);
}

static void the_file_describes_a_llama_model_of_the_shape_asked_for(void **state)
{
    struct gguf *gguf = synth(&small);
    struct gguf_string text;
    struct fail fail;
    uint64_t number;
    float value;

    (void)state;
    assert_int_equal(gguf_version(gguf), 3);
    assert_int_equal(gguf_get_string(gguf, "general.architecture", &text, &fail), 1);
    assert_int_equal(text.size, 5);
    assert_memory_equal(text.text, "llama", 5);
    assert_int_equal(gguf_get_uint(gguf, "llama.rope.dimension_count", UINT32_MAX, &number, &fail), 1);
    assert_int_equal(number, 32);
    assert_int_equal(gguf_get_uint(gguf, "llama.attention.head_count_kv", UINT32_MAX, &number, &fail), 1);
    assert_int_equal(number, 2);
    assert_int_equal(gguf_get_float(gguf, "llama.attention.layer_norm_rms_epsilon", &value, &fail), 1);
    assert_true(value == 1e-5f);
    assert_int_equal(gguf_get_float(gguf, "llama.rope.freq_base", &value, &fail), 1);
    assert_true(value == 10000.0f);
    assert_int_equal(gguf_tensor_count(gguf), 3 + 2 * 9);
    check_shape(gguf, "token_embd.weight", 256, 400);
    check_shape(gguf, "blk.0.attn_k.weight", 256, 64);
    check_shape(gguf, "blk.1.ffn_up.weight", 256, 512);
    check_shape(gguf, "blk.1.ffn_down.weight", 512, 256);
    check_shape(gguf, "output.weight", 256, 400);
    assert_int_equal(gguf_find(gguf, "tokenizer.ggml.scores")->count, 400);
    gguf_close(gguf);
}

static void file_hash(const struct synth_options *options, char hex[65])
{
    struct gguf *gguf = synth(options);
    const size_t size = (size_t)gguf_file_bytes(gguf);
    FILE *file = fopen(model_path, "rb");
    char *bytes = malloc(size);

    assert_non_null(file);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, file), size);
    sha256_hex(bytes, size, hex);
    free(bytes);
    fclose(file);
    gguf_close(gguf);
}

static void the_same_options_give_the_same_bytes_on_every_machine(void **state)
{
    static const struct {
        enum tensor_type type;
        const char *hash;
    } expected[] = {
        {TYPE_F32, "8ce3494e1aa651469d12e569047ff616cec829c409ab33d194e8ccd9a0406054"},
        {TYPE_F16, "987a4e6f1131191c6edf02ae78916f8407e53a5c4dd7dfb64a974baa6458ff9d"},
        {TYPE_BF16, "36fd142d689c6df66ee3eac15ced2d9f5595e60a7160a9955c7621045245ecf6"},
        {TYPE_Q8_0, "1c4ab894fbb375071cd6f2dece6bbb5d2e99dcd2c8fa76e4f4e9766b82fd8449"},
        {TYPE_Q4_0, "6d5e1f5e404d025e208f6a10af33264928751577370a2bdcf4c87ef1528ed273"},
        {TYPE_Q4_1, "dc93e64cb08334c815fa4cbc51e3d0577409ec94153c79c831e4eb3a96efb1a6"},
        {TYPE_Q5_0, "0eaa1a8d4b20eef0dc9bfc022c58c6c886bcdb21ab4917cc0c32c0d2e7d21fed"},
        {TYPE_Q5_1, "a0be512f5392f7b4f94239abf1fd72350382c27bf04f91eb12bcf600f0eda937"},
        {TYPE_Q2_K, "acb325d352fcf83fc0be5f25e5d789997800bb8c1136f51e698578f6a4a532dc"},
        {TYPE_Q3_K, "22f1727776f530e9d98c177b83395c7eed006bb9e21c9b64b731f78f46637b4d"},
        {TYPE_Q4_K, "4630f6584b9b0531486ecd95fc38b0702b1c51d75d963a17d58ac80bea3c8882"},
        {TYPE_Q5_K, "e82b840c21e4b303530f47ec09ce9e6a450e46d53bd6ed9c48507829c3de2825"},
        {TYPE_Q6_K, "5bb46184404b8476ffeaa8e91a54089769047c97c944f08609e5818095ad1a2b"},
    };

    (void)state;
    TYPE_ROWS_EXPECT(expected, TYPE_ROWS_ALL);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct synth_options options = small;
        char hex[65];

        options.type = expected[i].type;
        file_hash(&options, hex);
        assert_string_equal(hex, expected[i].hash);
    }
}

static void models_of_other_architectures_have_what_those_have(void **state)
{
    static const struct {
        const char *name, *vector, *hash;
        uint32_t count;
        double mean, deviation;
    } expected[] = {
        {"qwen2", "blk.1.attn_q.bias", "df69ba573fb0370c47b63baa1aca2f82c47a29958f65ab6e3c1fba52dc94fdb9", 256, 0, 0.5},
        {"qwen2", "blk.1.attn_k.bias", "df69ba573fb0370c47b63baa1aca2f82c47a29958f65ab6e3c1fba52dc94fdb9", 64, 0, 0.5},
        {"qwen3", "blk.1.attn_q_norm.weight", "cf047bee4f68a4c82cd783b965b2ce05d8a20b9ee231943a048c31493b182660", 32, 1, 0},
        {"qwen3", "blk.0.attn_k_norm.weight", "cf047bee4f68a4c82cd783b965b2ce05d8a20b9ee231943a048c31493b182660", 32, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct synth_options options = small;
        struct fail fail;
        char hex[65];

        options.architecture = expected[i].name;
        struct gguf *gguf = synth(&options);
        struct model *model = model_open(gguf, &fail);
        assert_non_null(model);
        check_shape(gguf, expected[i].vector, expected[i].count, 1);
        const struct spread spread = spread_of_rows(gguf, expected[i].vector, 0);
        assert_true(fabs(spread.mean - expected[i].mean) < 0.2);
        assert_true(expected[i].deviation == 0 || fabs(spread.deviation - expected[i].deviation) < 0.1);
        model_close(model);
        gguf_close(gguf);
        file_hash(&options, hex);
        assert_string_equal(hex, expected[i].hash);
    }
}

static void another_seed_gives_other_weights_and_the_same_vocabulary(void **state)
{
    struct synth_options other = small;
    struct gguf *gguf = synth(&small);
    uint8_t first[64];
    uint8_t tokens[1024];

    (void)state;
    memcpy(first, gguf_find_tensor(gguf, "output.weight")->data, sizeof first);
    memcpy(tokens, gguf_find(gguf, "tokenizer.ggml.tokens")->data, sizeof tokens);
    gguf_close(gguf);
    other.seed = 2;
    gguf = synth(&other);
    assert_memory_not_equal(first, gguf_find_tensor(gguf, "output.weight")->data, sizeof first);
    assert_memory_equal(tokens, gguf_find(gguf, "tokenizer.ggml.tokens")->data, sizeof tokens);
    gguf_close(gguf);
}

static int compare_pieces(const void *a, const void *b)
{
    return memcmp(a, b, SYNTH_VOCAB_PIECE_MAX);
}

static void every_piece_of_the_largest_vocabulary_is_different(void **state)
{
    char(*pieces)[SYNTH_VOCAB_PIECE_MAX] = calloc(SYNTH_VOCAB_MAX, sizeof *pieces);

    (void)state;
    assert_non_null(pieces);
    for (uint32_t id = 0; id < SYNTH_VOCAB_MAX; id++) {
        const size_t size = synth_vocab_piece(id, pieces[id]);

        assert_true(size > 0 && size < SYNTH_VOCAB_PIECE_MAX);
        memset(pieces[id] + size, 0, SYNTH_VOCAB_PIECE_MAX - size);
    }
    qsort(pieces, SYNTH_VOCAB_MAX, sizeof *pieces, compare_pieces);
    for (uint32_t id = 1; id < SYNTH_VOCAB_MAX; id++)
        assert_memory_not_equal(pieces[id - 1], pieces[id], SYNTH_VOCAB_PIECE_MAX);
    free(pieces);
}

static void pieces_have_the_types_and_scores_that_tokenizers_expect(void **state)
{
    char piece[SYNTH_VOCAB_PIECE_MAX];

    (void)state;
    assert_int_equal(synth_vocab_type(SYNTH_VOCAB_UNKNOWN), 2);
    assert_int_equal(synth_vocab_type(SYNTH_VOCAB_EOS), 3);
    assert_int_equal(synth_vocab_type(SYNTH_VOCAB_BYTES + 255), 6);
    assert_int_equal(synth_vocab_type(SYNTH_VOCAB_TEXT), 1);
    assert_int_equal(synth_vocab_piece(SYNTH_VOCAB_BYTES + 0xe2, piece), 6);
    assert_memory_equal(piece, "<0xE2>", 6);
    assert_int_equal(synth_vocab_piece(SYNTH_VOCAB_TEXT, piece), 3);
    assert_memory_equal(piece, "\xe2\x96\x81", 3);
    assert_int_equal(synth_vocab_score(SYNTH_VOCAB_TEXT + 1), 0xbf800000); /* -1.0f */
    assert_int_equal(synth_vocab_score(SYNTH_VOCAB_TEXT + 3), 0xc0400000); /* -3.0f */
    assert_int_equal(synth_vocab_score(SYNTH_VOCAB_EOS), 0);
}

static void options_that_make_no_model_are_refused_with_the_numbers(void **state)
{
    static const struct {
        struct synth_options options; /* 0: as in `small` */
        const char *message;
    } cases[] = {
        {{.dim = 272, .type = TYPE_Q8_0}, "--dim 272: type q8_0 needs a multiple of 32: use 256 or 288"},
        {{.hidden = 500, .type = TYPE_Q4_0}, "--hidden 500: type q4_0 needs a multiple of 32: use 480 or 512"},
        {{.hidden = 128, .type = TYPE_Q6_K}, "--hidden 128: type q6_k needs a multiple of 256: use 256"},
        {{.heads = 3, .kv_heads = 1, .type = TYPE_F16}, "--dim 256: heads must have an even size: with --heads 3 use a multiple of 6"},
        {{.dim = 1024, .heads = 1, .kv_heads = 1, .type = TYPE_F16}, "--heads 1: heads of 1024 columns, of at most 512 possible"},
        {{.kv_heads = 3, .type = TYPE_F16}, "--kv-heads 3: must divide --heads 8: use a divisor of it"},
        {{.kv_heads = 16, .type = TYPE_F16}, "--kv-heads 16: not possible: give a number from 1 to 8"},
        {{.vocab = 285, .type = TYPE_F16}, "--vocab 285: not possible: give a number from 286 to 524288"},
        {{.layers = 5000, .type = TYPE_F16}, "--layers 5000: not possible: give a number from 1 to 1024"},
        {{.architecture = "qwen2moe", .type = TYPE_F16}, "--arch qwen2moe: no such architecture: give llama, qwen2 or qwen3"},
        {{.type = (enum tensor_type)16}, "--type iq2_xxs: is not supported: use one of f32 f16"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct synth_options *changes = &cases[i].options;
        struct synth_options options = small;
        struct fail fail = {0};

        options.type = changes->type;
        options.architecture = changes->architecture;
        options.dim = changes->dim != 0 ? changes->dim : small.dim;
        options.hidden = changes->hidden != 0 ? changes->hidden : small.hidden;
        options.layers = changes->layers != 0 ? changes->layers : small.layers;
        options.heads = changes->heads != 0 ? changes->heads : small.heads;
        options.kv_heads = changes->kv_heads != 0 ? changes->kv_heads : small.kv_heads;
        options.vocab = changes->vocab != 0 ? changes->vocab : small.vocab;
        assert_int_equal(synth_write(&options, model_path, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
        if (strncmp(fail.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("found \"%s\", expected \"%s\"", fail.text, cases[i].message);
    }
}

static void a_full_disk_is_reported_with_exit_code_4(void **state)
{
    struct fail fail;

    (void)state;
    assert_int_equal(synth_write(&small, "/dev/full", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "/dev/full: writing failed: No space left on device"));
}

static void a_folder_that_does_not_exist_is_reported_with_exit_code_4(void **state)
{
    struct fail fail;

    (void)state;
    assert_int_equal(synth_write(&small, "/no/such/folder/model.gguf", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "/no/such/folder/model.gguf: cannot be written: No such file"));
}

static void a_file_that_is_replaced_keeps_its_reader_and_leaves_nothing_behind(void **state)
{
    struct gguf *old = synth(&small);
    struct synth_options other = small;
    uint8_t before[32];
    uint8_t after[32];

    (void)state;
    gguf_fingerprint(old, before);
    other.seed = 9;
    gguf_close(synth(&other));
    gguf_fingerprint(old, after); /* the old file, still mapped */
    assert_memory_equal(before, after, sizeof before);
    gguf_close(old);
    /* remove_folder checks that no other file is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_every_type_have_the_spread_that_keeps_activations_near_one),
        cmocka_unit_test(norm_weights_vary_around_one),
        cmocka_unit_test(the_file_describes_a_llama_model_of_the_shape_asked_for),
        cmocka_unit_test(the_same_options_give_the_same_bytes_on_every_machine),
        cmocka_unit_test(models_of_other_architectures_have_what_those_have),
        cmocka_unit_test(another_seed_gives_other_weights_and_the_same_vocabulary),
        cmocka_unit_test(every_piece_of_the_largest_vocabulary_is_different),
        cmocka_unit_test(pieces_have_the_types_and_scores_that_tokenizers_expect),
        cmocka_unit_test(options_that_make_no_model_are_refused_with_the_numbers),
        cmocka_unit_test(a_full_disk_is_reported_with_exit_code_4),
        cmocka_unit_test(a_folder_that_does_not_exist_is_reported_with_exit_code_4),
        cmocka_unit_test(a_file_that_is_replaced_keeps_its_reader_and_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
