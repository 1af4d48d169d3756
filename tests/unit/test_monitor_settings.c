#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "monitor/settings.h"

static void what_is_printed_is_read_back(void **state)
{
    struct settings settings = {250, "busy", true, 2, 3, 1, true, true}, back = settings_default;
    char text[SETTINGS_TEXT_MAX];

    (void)state;
    settings_parse(&back, text, settings_print(&settings, text));
    assert_int_equal(back.interval_ms, 250);
    assert_string_equal(back.sort, "busy");
    assert_true(back.is_inverted && back.no_colour && back.no_mouse);
    assert_int_equal(back.metric, 2);
    assert_int_equal(back.screen, 3);
    assert_int_equal(back.glyphs, 1);
}

static void bad_lines_leave_the_defaults(void **state)
{
    static const char text[] = "interval_ms = 5\ninterval_ms = x\nscreen = 99\nsort = a b\nwhat = 1\n=\n\nmetric\ninverted = maybe\n"
                               "interval_ms = 99999999999999999999999\nmetric = 2 # more";
    char line[5000];
    struct settings settings = settings_default;

    (void)state;
    settings_parse(&settings, text, sizeof text - 1);
    memset(line, 'x', sizeof line);
    settings_parse(&settings, line, sizeof line);
    assert_memory_equal(&settings, &settings_default, sizeof settings);
}

static void the_file_is_made_with_its_folders(void **state)
{
    char folder[] = "/tmp/mesh-settings.XXXXXX", path[SETTINGS_PATH_MAX], text[SETTINGS_PATH_MAX + 64];
    struct settings settings = settings_default, back = settings_default;
    struct fail fail = {0};

    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("XDG_CONFIG_HOME", folder, 1);
    assert_int_equal(settings_path(path), 0);
    settings.interval_ms = 2000;
    assert_int_equal(settings_save(&settings, path, &fail), 0);
    settings_load(&back, path);
    assert_int_equal(back.interval_ms, 2000);
    unlink(path);
    snprintf(text, sizeof text, "%s/mesh-monitor", folder);
    rmdir(text);
    rmdir(folder);
}

static void without_xdg_it_is_below_home(void **state)
{
    char path[SETTINGS_PATH_MAX];

    (void)state;
    setenv("XDG_CONFIG_HOME", "relative", 1);
    setenv("HOME", "/", 1);
    assert_int_equal(settings_path(path), 0);
    assert_string_equal(path, "//.config/mesh-monitor/config");
    setenv("HOME", "/nonexistent", 1); /* of Debian's system users; not to be made */
    assert_int_equal(settings_path(path), -1);
    unsetenv("HOME");
    unsetenv("XDG_CONFIG_HOME");
    assert_int_equal(settings_path(path), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(bad_lines_leave_the_defaults),
        cmocka_unit_test(the_file_is_made_with_its_folders),
        cmocka_unit_test(without_xdg_it_is_below_home),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
