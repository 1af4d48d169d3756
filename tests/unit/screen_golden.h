/* The monitor's screens as text, compared with files in tests/golden/monitor to the character.
 *
 * MESH_GOLDEN=write writes the files instead; review the changes before committing them. */
#ifndef TESTS_SCREEN_GOLDEN_H
#define TESTS_SCREEN_GOLDEN_H

#include "monitor/view.h"

enum { SCREEN_TEXT_BYTES = 200000 };

/* The time at which screens are drawn. */
struct screen_time {
    uint64_t now_ns;
    int64_t wall_ns;
};

/* Into text (SCREEN_TEXT_BYTES); its size. */
size_t screen_draw_text(const struct fleet *fleet, struct ui *ui, struct screen_time time, int width, int height, enum glyph_level level,
                        char *text);

/* Fails the test unless the text equals tests/golden/monitor/NAME.txt. */
void screen_check_golden(const char *name, const char *text, size_t size);

#endif
