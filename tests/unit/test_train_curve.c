#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/common/hash.h"
#include "node/train/train_curve.h"

enum { RECORDS_MAX = 20000, DEPTH_MAX = 16, NAME_MAX_BYTES = 32 };

static char folder[] = "/tmp/test_train_curve.XXXXXX";
static char path[64];
static struct train_record records[RECORDS_MAX];
static char svg[TRAIN_CURVE_BYTES_MAX + 1];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/run.svg", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

/* ---- a small checker of XML ---- */

static const char *skip_name(const char *at, char name[NAME_MAX_BYTES])
{
    size_t size = 0;

    while (isalnum((unsigned char)*at) || *at == '-') {
        assert_true(size + 1 < NAME_MAX_BYTES);
        name[size++] = *at++;
    }
    name[size] = '\0';
    assert_true(size > 0);
    return at;
}

/* Text up to a delimiter: no control characters, a & only as the beginning of &#NN; */
static const char *skip_text(const char *at, char delimiter)
{
    while (*at != delimiter) {
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
        assert_true(*at != '<');
        if (*at == '&') {
            assert_true(at[1] == '#' && isdigit((unsigned char)at[2]));
            at += 2 + strspn(at + 2, "0123456789");
            assert_int_equal(*at, ';');
        }
        at++;
    }
    return at;
}

/* Skips from after the name to after the >; whether the element ends with it. */
static const char *skip_attributes(const char *at, bool *is_empty)
{
    char name[NAME_MAX_BYTES];

    *is_empty = false;
    while (*at == ' ') {
        at = skip_name(at + 1, name);
        assert_true(at[0] == '=' && at[1] == '"');
        at = skip_text(at + 2, '"') + 1;
    }
    if (*at == '/') {
        *is_empty = true;
        at++;
    }
    assert_int_equal(*at, '>');
    return at + 1;
}

static void check_well_formed(void)
{
    char names[DEPTH_MAX][NAME_MAX_BYTES], name[NAME_MAX_BYTES];
    unsigned depth = 0;
    const char *at = svg;

    do {
        bool is_empty = true;

        assert_int_equal(*at, '<');
        if (at[1] == '/') {
            at = skip_name(at + 2, name);
            assert_true(depth > 0);
            assert_string_equal(name, names[--depth]);
            assert_int_equal(*at++, '>');
        } else {
            assert_true(depth < DEPTH_MAX);
            at = skip_attributes(skip_name(at + 1, names[depth]), &is_empty);
            depth += !is_empty;
        }
        if (depth > 0)
            at = skip_text(at, '<');
    } while (depth > 0);
    assert_string_equal(at, "\n");
}

/* ---- pictures ---- */

static void draw(size_t count, const char *title)
{
    struct fail fail;
    FILE *file;
    size_t size;

    assert_int_equal(train_curve_write(records, count, title, path, &fail), 0);
    file = fopen(path, "r");
    assert_non_null(file);
    size = fread(svg, 1, sizeof svg, file);
    fclose(file);
    assert_true(size <= TRAIN_CURVE_BYTES_MAX);
    svg[size] = '\0';
    assert_int_equal(strlen(svg), size);
    check_well_formed();
}

/* A loss that falls, with noise; held-out loss at every 10th step. */
static void make_records(size_t count)
{
    assert_true(count <= RECORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        const float loss = 2 + 6 / (1 + 20 * (float)i / (float)count) + (float)(hash_words3(1, 2, i) % 100) / 500;

        records[i] = (struct train_record){i + 1, loss, i % 10 == 9 ? loss : -1, 1e-3f * (float)(count - i) / (float)count, 1};
    }
}

static unsigned count_of(const char *text)
{
    unsigned count = 0;

    for (const char *at = svg; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    return count;
}

/* Number of points of the polyline with this index; checks that they are in the plot. */
static unsigned points_of(unsigned index)
{
    const char *at = svg, *end;
    unsigned count = 0;

    for (unsigned i = 0; i <= index; i++) {
        at = strstr(at, "points=\"");
        assert_non_null(at);
        at += 8;
    }
    end = strchr(at, '"');
    while (at < end) {
        char *next;
        const double x = strtod(at, &next), y = strtod(next + 1, &next);

        assert_true(x >= 70 && x <= 872 && y >= 88 && y <= 440);
        at = next + 1;
        count++;
    }
    return count;
}

static void a_run_has_four_lines_and_their_names(void **state)
{
    (void)state;
    make_records(1000);
    draw(1000, "A run");
    assert_int_equal(count_of("<polyline"), 4);
    assert_int_equal(points_of(2), 300);
    assert_int_equal(points_of(3), 100);
    assert_int_equal(count_of(">training loss<"), 1);
    assert_int_equal(count_of(">mean of 25 steps (last 2."), 1);
    assert_int_equal(count_of(">held-out loss (last 2."), 1);
    assert_int_equal(count_of(">learning rate<"), 2);
    assert_int_equal(count_of(">A run<"), 2);
    assert_int_equal(count_of(">training step<"), 1);
    assert_int_equal(count_of(">loss (nats per token)<"), 1);
    assert_int_equal(count_of(">1000<"), 1);
}

static void a_long_run_is_thinned_out_and_keeps_its_extremes(void **state)
{
    (void)state;
    make_records(RECORDS_MAX);
    for (size_t i = 0; i < RECORDS_MAX; i++)
        records[i].held_out = records[i].loss;
    records[12345].loss = 10; /* at the upper end of the axis */
    records[15000].loss = 1;  /* and the lower */
    draw(RECORDS_MAX, "A long run");
    assert_true(points_of(1) <= TRAIN_CURVE_POINTS_MAX && points_of(1) > TRAIN_CURVE_POINTS_MAX * 9 / 10);
    assert_true(points_of(3) <= TRAIN_CURVE_DOTS_MAX);
    assert_non_null(strstr(svg, ",88 "));
    assert_non_null(strstr(svg, ",440 "));
    assert_true(strlen(svg) < TRAIN_CURVE_BYTES_MAX / 2);
}

static void few_steps_are_not_smoothed_but_dotted(void **state)
{
    (void)state;
    make_records(5);
    draw(5, "Five");
    assert_int_equal(count_of("<polyline"), 2);
    assert_int_equal(count_of("h0M"), 4);
    assert_int_equal(count_of("mean of"), 0);
    assert_int_equal(count_of("held-out"), 0);
    draw(1, "One");
    assert_int_equal(count_of("<polyline"), 0);
    assert_int_equal(count_of("h0\""), 1);
    draw(0, "None");
    assert_int_equal(count_of("<polyline"), 0);
}

static void equal_values_are_a_line_in_the_middle(void **state)
{
    (void)state;
    for (size_t i = 0; i < 100; i++)
        records[i] = (struct train_record){i + 1, 2.5f, -1, 0, 1};
    draw(100, "Equal");
    assert_non_null(strstr(svg, "points=\"78,264 "));
    assert_int_equal(count_of("learning rate"), 0);
}

static void what_is_not_finite_is_left_out(void **state)
{
    (void)state;
    make_records(200);
    for (size_t i = 100; i < 200; i++)
        records[i] = (struct train_record){i + 1, i % 2 ? NAN : INFINITY, INFINITY, NAN, NAN};
    draw(200, "Broken");
    assert_int_equal(count_of("nan") + count_of("inf"), 0);
    assert_int_equal(points_of(1), 100);
    for (size_t i = 0; i < 200; i++)
        records[i] = (struct train_record){i + 1, NAN, NAN, NAN, NAN};
    draw(200, "All broken");
    assert_int_equal(count_of("<polyline"), 0);
}

static void any_values_make_a_picture(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        const size_t count = 1 + hash_words3(3, 4, round) % 300;

        for (size_t i = 0; i < count; i++) {
            uint32_t bits[4];

            for (uint64_t k = 0; k < 4; k++)
                bits[k] = (uint32_t)hash_words3(round, i, k);
            records[i].step = i + 1;
            memcpy(&records[i].loss, bits, sizeof bits);
        }
        draw(count, "Anything");
    }
    records[0] = (struct train_record){UINT64_MAX, FLT_MAX, 0, FLT_MAX, 0};
    draw(1, "Greatest");
}

static void a_title_may_be_any_bytes(void **state)
{
    char title[300];

    (void)state;
    make_records(10);
    draw(10, "<b> & \"c\" \x01\x1b\xff \xef\xbf\xbf \xc2\x85 \xc3\xa9");
    assert_int_equal(count_of(">&#60;b&#62; &#38; &#34;c&#34; \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xc3\xa9<"),
                     2);
    draw(10, "");
    memset(title, 'x', sizeof title);
    title[sizeof title - 1] = '\0';
    draw(10, title);
    assert_int_equal(count_of("xxxx\xe2\x80\xa6<"), 2);
}

/* Changed drawing changes this hash; another machine does not. */
static void the_same_records_are_the_same_bytes_everywhere(void **state)
{
    (void)state;
    make_records(3000);
    draw(3000, "The same");
    assert_int_equal(hash_bytes(0, svg, strlen(svg)), 0x17f800099d49b0ba);
}

static void what_cannot_be_written_is_reported(void **state)
{
    struct fail fail;

    (void)state;
    assert_int_equal(train_curve_write(records, 1, "x", "/no/such/folder/run.svg", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "/no/such/folder/run.svg: cannot be written: No such file or directory: "));
    assert_int_equal(train_curve_write(records, 1, "x", "/dev/full", &fail), -1);
    assert_string_equal(fail.text, "/dev/full: writing failed: No space left on device: make room, or write to another disk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_has_four_lines_and_their_names),
        cmocka_unit_test(a_long_run_is_thinned_out_and_keeps_its_extremes),
        cmocka_unit_test(few_steps_are_not_smoothed_but_dotted),
        cmocka_unit_test(equal_values_are_a_line_in_the_middle),
        cmocka_unit_test(what_is_not_finite_is_left_out),
        cmocka_unit_test(any_values_make_a_picture),
        cmocka_unit_test(a_title_may_be_any_bytes),
        cmocka_unit_test(the_same_records_are_the_same_bytes_everywhere),
        cmocka_unit_test(what_cannot_be_written_is_reported),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
