#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/bar.h"
#include "monitor/canvas.h"
#include "monitor/format.h"

/* A canvas as text. */
static const char *text_of(const struct canvas *canvas)
{
    static char text[4000];
    FILE *out = fmemopen(text, sizeof text, "w");

    assert_non_null(out);
    canvas_write(canvas, out);
    fclose(out);
    return text;
}

static void what_lies_outside_of_an_area_is_cut_off(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 6, 3, GLYPHS_ASCII), 0);
    canvas_text(&canvas, (struct area){1, 1, 3, 1}, -1, 0, STYLE_NORMAL, "abcdefgh");
    canvas_text(&canvas, (struct area){1, 1, 3, 1}, 0, 1, STYLE_NORMAL, "below");
    canvas_text(&canvas, (struct area){5, 2, 9, 9}, 0, 0, STYLE_NORMAL, "xyz");
    assert_string_equal(text_of(&canvas), "\n bcd\n     x\n");
    canvas_release(&canvas);
}

static void text_that_is_cut_off_says_so(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 6, 3, GLYPHS_FULL), 0);
    canvas_text_cut(&canvas, (struct area){0, 0, 6, 1}, 1, 0, STYLE_NORMAL, "abcdef");
    canvas_text_cut(&canvas, (struct area){0, 1, 6, 1}, 1, 0, STYLE_NORMAL, "abcde");
    assert_string_equal(text_of(&canvas), " abcd…\n abcde\n\n");
    canvas_release(&canvas);
}

static void a_heading_that_is_cut_off_says_so(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 12, 1, GLYPHS_FULL), 0);
    canvas_rule(&canvas, (struct area){0, 0, 12, 1}, "over the past");
    assert_string_equal(text_of(&canvas), "─ over the …\n");
    canvas_rule(&canvas, (struct area){0, 0, 12, 1}, "the past");
    assert_string_equal(text_of(&canvas), "─ the past ─\n");
    canvas_release(&canvas);
}

static void text_is_wrapped_between_words_and_long_words_where_they_must(void **state)
{
    static const struct {
        const char *text, *wrapped;
        int lines;
    } cases[] = {{"", "\n\n\n", 1},
                 {"one two", "one\ntwo\n\n", 2},
                 {"one two three", "one\ntwo\nthree\n", 3},
                 {"a bc de", "a bc\nde\n\n", 2},
                 {"abcdefghi j", "abcdef\nghi j\n\n", 2},
                 {"one two three four", "one\ntwo\nthree…\n", 4},
                 {"one two threes four", "one\ntwo\nthree…\n", 4},
                 {"one two threefour", "one\ntwo\nthree…\n", 4}};
    struct canvas canvas;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(canvas_init(&canvas, 6, 3, GLYPHS_FULL), 0);
        assert_int_equal(canvas_text_wrapped(&canvas, (struct area){0, 0, 6, 3}, STYLE_NORMAL, cases[i].text), cases[i].lines);
        assert_string_equal(text_of(&canvas), cases[i].wrapped);
        canvas_release(&canvas);
    }
}

static void text_from_outside_takes_one_column_per_character_and_does_nothing_else(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 12, 1, GLYPHS_FULL), 0);
    canvas_text(&canvas, (struct area){0, 0, 12, 1}, 0, 0, STYLE_NORMAL, "\033[2Jé\xff\xe2\x82");
    assert_string_equal(text_of(&canvas), "?[2Jé??\n");
    canvas_clear(&canvas);
    canvas_text(&canvas, (struct area){0, 0, 12, 1}, 0, 0, STYLE_NORMAL, "\u202e\u4e2d\u0301a");
    assert_string_equal(text_of(&canvas), "???a\n");
    canvas_release(&canvas);
}

static void every_glyph_has_a_plainer_one_at_each_level(void **state)
{
    char full[GLYPH_BYTES], plain[GLYPH_BYTES];

    (void)state;
    for (uint32_t code = 0; code < 0x30000; code++) {
        glyph_show(code, GLYPHS_FULL, full);
        glyph_show(code, GLYPHS_ASCII, plain);
        assert_true(strlen(full) > 0 && strlen(plain) == 1);
        assert_in_range(plain[0], ' ', '~');
        glyph_show(code, GLYPHS_BOX, plain);
        assert_int_equal(glyph_columns(plain), 1);
    }
}

static void a_split_bar_has_columns_that_add_up(void **state)
{
    const struct bar_part parts[] = {{0.334, STYLE_COMPUTE, 'c'}, {0.333, STYLE_SEND, 's'}, {0.333, STYLE_WAIT, 'w'}};
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 10, 1, GLYPHS_FULL), 0);
    bar_split(&canvas, (struct area){0, 0, 10, 1}, parts, 3);
    assert_string_equal(text_of(&canvas), "cccsssswww\n");
    canvas_release(&canvas);
}

static void a_curve_ends_at_the_right_and_leaves_gaps(void **state)
{
    const float values[] = {1, 2, NAN, 4};
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 6, 1, GLYPHS_BOX), 0);
    bar_curve(&canvas, (struct area){0, 0, 6, 1}, STYLE_GRAPH, values, 4, 4);
    assert_string_equal(text_of(&canvas), "  _▄ █\n");
    canvas_release(&canvas);
    assert_int_equal(canvas_init(&canvas, 3, 1, GLYPHS_FULL), 0);
    bar_curve(&canvas, (struct area){0, 0, 3, 1}, STYLE_GRAPH, values, 4, 4);
    assert_string_equal(text_of(&canvas), " ⣠⢸\n");
    canvas_release(&canvas);
}

static void figures_are_short_and_have_units(void **state)
{
    static const struct {
        void (*print)(double value, char out[FORMAT_BYTES]);
        double value;
        const char *text;
    } cases[] = {
        {format_time_us, 0, "0 µs"},
        {format_time_us, 87.4, "87 µs"},
        {format_time_us, 999.9, "1.00 ms"},
        {format_time_us, 1234, "1.23 ms"},
        {format_time_us, 2.5e6, "2.50 s"},
        {format_time_us, INFINITY, "-"},
        {format_bytes, 812, "812 B"},
        {format_bytes, 1.1e9, "1.10 GB"},
        {format_count, 812, "812"},
        {format_count, 12345, "12.3k"},
        {format_count, 4.1e6, "4.10M"},
        {format_fraction, 0, "0"},
        {format_fraction, 0.0096, "0.96 %"},
        {format_fraction, 0.0126, "1.3 %"},
        {format_fraction, 0.5, "50 %"},
        {format_fraction, NAN, "-"},
        {format_age_s, 4.9, "4 s"},
        {format_age_s, 7300, "2 h"},
        {format_age_s, 119, "119 s"},
        {format_speed, 0, "0"},
        {format_speed, 0.34, "0.34"},
        {format_speed, 18, "18.0"},
        {format_speed, 6.1, "6.1"},
        {format_speed, 175.9, "176"},
        {format_speed, NAN, "-"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[FORMAT_BYTES];

        cases[i].print(cases[i].value, out);
        assert_string_equal(out, cases[i].text);
    }
}

static void on_a_selected_line_colours_stay_before_another_background(void **state)
{
    const struct theme_look selected = theme_look(STYLE_SELECTED, THEME_256), warning = theme_look(STYLE_WARN, THEME_256);
    struct theme_look look;
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(&canvas, 4, 2, GLYPHS_FULL), 0);
    canvas_text(&canvas, (struct area){0, 0, 4, 1}, 0, 0, STYLE_NORMAL, "a");
    canvas_text(&canvas, (struct area){0, 0, 4, 1}, 1, 0, STYLE_WARN, "b");
    canvas_select(&canvas, (struct area){0, 0, 4, 1});
    canvas_select(&canvas, (struct area){0, 0, 4, 1}); /* selecting twice has the same effect */
    look = theme_look((enum style)canvas.cells[1].style, THEME_256);
    assert_int_equal(canvas.cells[0].style, STYLE_SELECTED);
    assert_true(look.front == warning.front && look.back == selected.back && look.bold == warning.bold);
    assert_true(theme_look((enum style)canvas.cells[1].style, THEME_NONE).reverse);
    assert_int_equal(canvas.cells[4].style, STYLE_NORMAL); /* the line below */
    canvas_release(&canvas);
}

static bool is_same(struct theme_look a, struct theme_look b)
{
    return a.front == b.front && a.back == b.back && a.bold == b.bold && a.dim == b.dim && a.reverse == b.reverse &&
           a.underline == b.underline;
}

/* On a terminal with 16 colours only the first eight are used: it may have the others only as bold ones. */
static void every_style_has_colours_that_the_terminal_has_and_can_be_read(void **state)
{
    static const int counts[] = {[THEME_NONE] = 0, [THEME_16] = 8, [THEME_256] = 256};

    (void)state;
    for (int colours = THEME_NONE; colours <= THEME_256; colours++)
        for (int style = 0; style < STYLES_LOOKS; style++) {
            const struct theme_look look = theme_look((enum style)style, (enum theme_colours)colours);

            assert_in_range(look.front + 1, 0, counts[colours]);
            assert_in_range(look.back + 1, 0, counts[colours]);
            assert_true(look.front < 0 || look.front != look.back);
        }
}

/* Of a colour of the 256: the cube, or the greys. */
static double luminance(int colour)
{
    const int cube = colour - 16, steps[] = {cube / 36, cube / 6 % 6, cube % 6};
    const double weights[] = {0.2126, 0.7152, 0.0722};
    double sum = 0;

    assert_in_range(colour, 16, 255);
    for (int i = 0; i < 3; i++) {
        const int level = colour >= 232 ? 8 + 10 * (colour - 232) : steps[i] > 0 ? 55 + 40 * steps[i] : 0;

        sum += weights[i] * pow((level / 255.0 + 0.055) / 1.055, 2.4);
    }
    return sum;
}

/* By the contrast ratio of the web's guidelines for accessibility, which ask for 3 where text is large. */
static void what_has_no_background_can_be_read_on_dark_and_on_light_terminals(void **state)
{
    (void)state;
    for (int style = 0; style < STYLES; style++) {
        const struct theme_look many = theme_look((enum style)style, THEME_256), few = theme_look((enum style)style, THEME_16);

        assert_true(few.back >= 0 || (few.front != 0 && few.front != 7));
        if (many.back >= 0 || many.front < 0)
            continue;
        if ((luminance(many.front) + 0.05) / 0.05 < 2.99 || 1.05 / (luminance(many.front) + 0.05) < 3)
            fail_msg("style %d: colour %d: too dark or too bright", style, many.front);
    }
}

static void good_warning_and_bad_differ_whatever_the_colours(void **state)
{
    (void)state;
    for (int colours = THEME_NONE; colours <= THEME_256; colours++) {
        const struct theme_look good = theme_look(STYLE_GOOD, (enum theme_colours)colours);
        const struct theme_look warning = theme_look(STYLE_WARN, (enum theme_colours)colours);
        const struct theme_look bad = theme_look(STYLE_BAD, (enum theme_colours)colours);

        assert_false(is_same(good, warning));
        assert_false(is_same(warning, bad));
        assert_false(is_same(good, bad));
        assert_false(is_same(theme_look(STYLE_HEAT, (enum theme_colours)colours),
                             theme_look((enum style)(STYLE_HEAT + HEAT_STEPS - 1), (enum theme_colours)colours)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_a_selected_line_colours_stay_before_another_background),
        cmocka_unit_test(what_lies_outside_of_an_area_is_cut_off),
        cmocka_unit_test(text_that_is_cut_off_says_so),
        cmocka_unit_test(a_heading_that_is_cut_off_says_so),
        cmocka_unit_test(text_is_wrapped_between_words_and_long_words_where_they_must),
        cmocka_unit_test(text_from_outside_takes_one_column_per_character_and_does_nothing_else),
        cmocka_unit_test(every_glyph_has_a_plainer_one_at_each_level),
        cmocka_unit_test(a_split_bar_has_columns_that_add_up),
        cmocka_unit_test(a_curve_ends_at_the_right_and_leaves_gaps),
        cmocka_unit_test(figures_are_short_and_have_units),
        cmocka_unit_test(every_style_has_colours_that_the_terminal_has_and_can_be_read),
        cmocka_unit_test(what_has_no_background_can_be_read_on_dark_and_on_light_terminals),
        cmocka_unit_test(good_warning_and_bad_differ_whatever_the_colours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
