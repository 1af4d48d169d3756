#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/gguf/gguf_write.h"
#include "node/quantise/quantise_file.h"
#include "tests/unit/quantise_case.h"

enum { FILE_MAX = 1 << 16, ALIGNMENT = 128 };

static char folder[] = "/tmp/test_quantise_file.XXXXXX";
static char in_path[64], out_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(in_path, sizeof in_path, "%s/in.gguf", folder);
    snprintf(out_path, sizeof out_path, "%s/out.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(in_path);
    unlink(out_path);
    return rmdir(folder); /* fails when a file is left behind */
}

static const struct {
    const char *name;
    uint64_t dims[4];
    uint32_t dim_count;
    enum tensor_type becomes; /* when q4_k is requested */
} tensors[] = {
    {"norm", {256}, 1, TYPE_F32},
    {"wide", {256, 3}, 2, TYPE_Q4_K},
    {"short", {64, 3}, 2, TYPE_Q8_0},
    {"odd", {40, 2}, 2, TYPE_F16},
    {"cube", {32, 2, 2}, 3, TYPE_Q8_0},
    {"row", {512, 1}, 2, TYPE_F32},
    {"wide 4", {256, 1, 1, 2}, 4, TYPE_Q4_K},
    {"one", {1, 7}, 2, TYPE_F16},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static uint64_t values_of(size_t t)
{
    uint64_t values = 1;

    for (uint32_t i = 0; i < tensors[t].dim_count; i++)
        values *= tensors[t].dims[i];
    return values;
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void describe(struct gguf_write *w, bool has_types)
{
    gguf_write_init(w);
    gguf_write_align(w, ALIGNMENT);
    gguf_write_string(w, "general.architecture", "something else");
    if (has_types)
        gguf_write_string(w, "general.file_type", "of another type");
    gguf_write_f32(w, "of nobody", 0x7fc12345);
    gguf_write_u32(w, "general.alignment", ALIGNMENT);
    if (has_types)
        gguf_write_u32(w, "general.quantization_version", 1);
    gguf_write_array(w, "list", GGUF_STRING, 2);
    gguf_write_element_string(w, "x", 1);
    gguf_write_element_string(w, "", 0);
}

/* All tensors in f32, with values of a normal distribution; the value at `bad_at` of "odd" is not finite unless bad_at is negative. */
static void make_file(bool has_types, int bad_at)
{
    static uint8_t file[FILE_MAX];
    struct gguf_write w;
    struct fail fail = {0};

    describe(&w, has_types);
    for (size_t t = 0; t < TENSORS; t++)
        gguf_write_tensor(&w, tensors[t].name, TYPE_F32, tensors[t].dims, tensors[t].dim_count);
    assert_int_equal(gguf_write_finish(&w, &fail), 0);
    assert_true(w.size + w.data_size < FILE_MAX);
    memset(file, 0, sizeof file);
    memcpy(file, w.bytes, w.size);

    size_t at = w.size;

    for (size_t t = 0; t < TENSORS; t++) {
        float *values = (float *)(void *)(file + at);

        quantise_case_fill(QUANTISE_BELL, t, values, values_of(t));
        if (strcmp(tensors[t].name, "odd") == 0 && bad_at >= 0)
            values[bad_at] = NAN;
        at += values_of(t) * 4 + gguf_write_padding(&w, values_of(t) * 4);
    }
    write_bytes(in_path, file, at);
    gguf_write_release(&w);
}

static struct quantise_file_report convert(enum tensor_type type, uint16_t threads)
{
    const struct quantise_file_options options = {.in = in_path, .out = out_path, .type = type, .threads = threads};
    struct quantise_file_report report;
    struct fail fail = {0};

    if (quantise_file(&options, &report, &fail) < 0)
        fail_msg("%s", fail.text);
    return report;
}

static struct gguf *open_out(void)
{
    struct fail fail = {0};
    struct gguf *gguf = gguf_open(out_path, &fail);

    if (gguf == NULL)
        fail_msg("%s", fail.text);
    return gguf;
}

static void every_tensor_gets_a_type_that_its_rows_allow(void **state)
{
    (void)state;
    make_file(true, -1);

    const struct quantise_file_report report = convert(TYPE_Q4_K, 2);
    struct gguf *gguf = open_out();

    assert_int_equal(gguf_tensor_count(gguf), TENSORS);
    for (size_t t = 0; t < TENSORS; t++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, t);

        assert_int_equal(tensor->name.size, strlen(tensors[t].name));
        assert_memory_equal(tensor->name.text, tensors[t].name, tensor->name.size);
        assert_int_equal(tensor->type, tensors[t].becomes);
        assert_int_equal(tensor->dim_count, tensors[t].dim_count);
        assert_memory_equal(tensor->dims, tensors[t].dims, tensor->dim_count * sizeof *tensor->dims);
        assert_int_equal(quantise_file_type(tensor, TYPE_Q4_K), tensors[t].becomes);
    }
    assert_int_equal(report.tensors, TENSORS);
    assert_int_equal(report.vectors, 2);
    assert_int_equal(report.of_type[TYPE_F32], 2);
    assert_int_equal(report.of_type[TYPE_Q4_K], 2);
    assert_int_equal(report.short_rows, 2);
    assert_int_equal(report.odd_rows, 2);
    assert_int_equal(report.bytes_after, gguf_file_bytes(gguf));
    assert_true(report.rms_error > 0.01 && report.rms_error < 0.08);
    gguf_close(gguf);
}

static void values_are_as_near_as_their_types_allow(void **state)
{
    static float values[1024], result[1024], zeros[1024];

    (void)state;
    make_file(true, -1);
    convert(TYPE_Q4_K, 1);

    struct gguf *gguf = open_out();

    for (size_t t = 0; t < TENSORS; t++) {
        const size_t count = values_of(t);
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, t);

        quantise_case_fill(QUANTISE_BELL, t, values, count);
        tensor_type_dequantise((enum tensor_type)tensor->type, tensor->data, count, result);
        if (tensor->type == TYPE_F32)
            assert_memory_equal(values, result, count * 4);
        assert_true(quantise_case_squares(values, result, count) < 0.08 * 0.08 * quantise_case_squares(values, zeros, count));
    }
    gguf_close(gguf);
}

static void check_value(const struct gguf *gguf, size_t index, const char *key, enum gguf_value_type type, const void *data, size_t size)
{
    const struct gguf_value *value = gguf_value_at(gguf, index);

    assert_int_equal(value->key.size, strlen(key));
    assert_memory_equal(value->key.text, key, value->key.size);
    assert_int_equal(value->type, type);
    assert_int_equal(value->data_size, size);
    assert_memory_equal(value->data, data, size);
}

static void metadata_keep_order_type_and_bytes(void **state)
{
    (void)state;
    make_file(true, -1);
    convert(TYPE_Q5_K, 1);

    struct gguf *gguf = open_out();

    assert_int_equal(gguf_value_count(gguf), 6);
    check_value(gguf, 0, "general.architecture", GGUF_STRING, "something else", 14);
    check_value(gguf, 1, "general.file_type", GGUF_U32, "\x10\0\0\0", 4);
    check_value(gguf, 2, "of nobody", GGUF_F32, "\x45\x23\xc1\x7f", 4);
    check_value(gguf, 3, "general.alignment", GGUF_U32, "\x80\0\0\0", 4);
    check_value(gguf, 4, "general.quantization_version", GGUF_U32, "\2\0\0\0", 4);
    check_value(gguf, 5, "list", GGUF_ARRAY, "\1\0\0\0\0\0\0\0x\0\0\0\0\0\0\0\0", 17);
    assert_int_equal(gguf_value_at(gguf, 5)->count, 2);
    gguf_close(gguf);
}

static void what_is_missing_of_the_type_is_added(void **state)
{
    (void)state;
    make_file(false, -1);
    convert(TYPE_F16, 1);

    struct gguf *gguf = open_out();

    assert_int_equal(gguf_value_count(gguf), 6);
    check_value(gguf, 4, "general.file_type", GGUF_U32, "\1\0\0\0", 4);
    check_value(gguf, 5, "general.quantization_version", GGUF_U32, "\2\0\0\0", 4);
    gguf_close(gguf);
}

static size_t read_out(uint8_t *out)
{
    FILE *file = fopen(out_path, "rb");
    size_t size;

    assert_non_null(file);
    size = fread(out, 1, FILE_MAX, file);
    fclose(file);
    return size;
}

static void threads_and_repetition_change_nothing(void **state)
{
    static uint8_t first[FILE_MAX], second[FILE_MAX];

    (void)state;
    make_file(true, -1);

    const struct quantise_file_report one = convert(TYPE_Q6_K, 1);
    const size_t size = read_out(first);
    const struct quantise_file_report four = convert(TYPE_Q6_K, 4);

    assert_int_equal(read_out(second), size);
    assert_memory_equal(first, second, size);
    assert_memory_equal(&one, &four, sizeof one);
    assert_int_equal(rename(out_path, in_path), 0);
    convert(TYPE_Q6_K, 1); /* from a file that already has the type */
    assert_int_equal(read_out(second), size);
    assert_memory_equal(first, second, size);
}

/* The previous file is untouched, and nothing is left beside it. */
static void refuse(const char *in, const char *out, enum exit_code code, const char *text)
{
    const struct quantise_file_options options = {.in = in, .out = out, .type = TYPE_Q8_0, .threads = 2};
    struct quantise_file_report report;
    struct fail fail = {0};

    assert_int_equal(quantise_file(&options, &report, &fail), -1);
    assert_int_equal(fail.exit_code, code);
    if (strstr(fail.text, text) == NULL)
        fail_msg("'%s' is not in: %s", text, fail.text);
}

static void a_failure_leaves_the_other_file_as_it_was(void **state)
{
    static uint8_t kept[FILE_MAX];

    (void)state;
    make_file(true, 77);
    write_bytes(out_path, "old", 3);
    refuse(in_path, out_path, EXIT_BAD_FILE, "tensor 'odd': value 77 (row 1, column 37) is infinite or no number");
    assert_int_equal(read_out(kept), 3);
    assert_memory_equal(kept, "old", 3);
    refuse("/nowhere/in.gguf", out_path, EXIT_ENVIRONMENT, "/nowhere/in.gguf");
    refuse(in_path, "/nowhere/out.gguf", EXIT_ENVIRONMENT, "/nowhere/out.gguf");
    refuse(out_path, in_path, EXIT_BAD_FILE, out_path);
}

static void the_same_file_is_refused_under_any_name(void **state)
{
    char link_path[64];

    (void)state;
    make_file(true, -1);
    unlink(out_path);
    refuse(in_path, in_path, EXIT_USAGE, "same file");
    assert_int_equal(symlink(in_path, out_path), 0);
    refuse(in_path, out_path, EXIT_USAGE, "same file");
    unlink(out_path);
    snprintf(link_path, sizeof link_path, "%s/hard", folder);
    assert_int_equal(link(in_path, link_path), 0);
    refuse(in_path, link_path, EXIT_USAGE, "same file");
    unlink(link_path);
}

static void tensors_of_other_types_are_refused_by_name(void **state)
{
    uint8_t file[512] = {0};
    struct gguf_write w;
    struct fail fail = {0};

    (void)state;
    gguf_write_init(&w);
    gguf_write_tensor(&w, "t", TYPE_F32, (const uint64_t[]){32, 1}, 2);
    assert_int_equal(gguf_write_finish(&w, &fail), 0);
    memcpy(file, w.bytes, w.size);
    file[24 + 9 + 4 + 16] = 20;
    write_bytes(in_path, file, w.size + 128);
    gguf_write_release(&w);
    refuse(in_path, out_path, EXIT_BAD_FILE, "tensor 't': its type iq4_nl (20) is not supported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_gets_a_type_that_its_rows_allow), cmocka_unit_test(values_are_as_near_as_their_types_allow),
        cmocka_unit_test(metadata_keep_order_type_and_bytes),           cmocka_unit_test(what_is_missing_of_the_type_is_added),
        cmocka_unit_test(threads_and_repetition_change_nothing),        cmocka_unit_test(a_failure_leaves_the_other_file_as_it_was),
        cmocka_unit_test(the_same_file_is_refused_under_any_name),      cmocka_unit_test(tensors_of_other_types_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
