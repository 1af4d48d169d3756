#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "screen_golden.h"

size_t screen_draw_text(const struct fleet *fleet, struct ui *ui, struct screen_time time, int width, int height, enum glyph_level level,
                        char *text)
{
    FILE *out = fmemopen(text, SCREEN_TEXT_BYTES, "w");
    struct canvas canvas;
    long size;

    assert_non_null(out);
    assert_int_equal(canvas_init(&canvas, width, height, level), 0);
    view_draw(&canvas, fleet, ui, time.now_ns, time.wall_ns);
    canvas_write(&canvas, out);
    fflush(out);
    size = ftell(out);
    fclose(out);
    canvas_release(&canvas);
    return (size_t)size;
}

void screen_check_golden(const char *name, const char *text, size_t size)
{
    static char expected[SCREEN_TEXT_BYTES];
    const char *mode = getenv("MESH_GOLDEN");
    char path[200];
    FILE *file;

    snprintf(path, sizeof path, "tests/golden/monitor/%s.txt", name);
    file = fopen(path, mode != NULL ? "w" : "r");
    if (file == NULL)
        fail_msg("%s: cannot be opened: run from the top of the tree", path);
    if (mode != NULL) {
        assert_int_equal(fwrite(text, 1, size, file), size);
    } else {
        const size_t expected_size = fread(expected, 1, sizeof expected, file);

        if (expected_size != size || memcmp(expected, text, size) != 0)
            fail_msg("%s differs from what is drawn now (MESH_GOLDEN=write writes it):\n%.*s", path, (int)size, text);
    }
    fclose(file);
}
