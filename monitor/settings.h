/* What the monitor remembers from one run to the next: a small text file below $XDG_CONFIG_HOME, written by the program.
 *
 * One `name = value` per line; unknown names are dropped, bad values leave the default. Command-line options override it. */
#ifndef MONITOR_SETTINGS_H
#define MONITOR_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

enum { SETTINGS_PATH_MAX = 4096, SETTINGS_TEXT_MAX = 2048, SETTINGS_NAME_MAX = 24, INTERVAL_MS_MIN = 100, INTERVAL_MS_MAX = 60000 };

struct settings {
    uint32_t interval_ms;
    char sort[SETTINGS_NAME_MAX]; /* name of the column of the overview */
    bool is_inverted;
    uint32_t metric; /* enum metric */
    uint32_t screen; /* enum screen */
    uint32_t glyphs; /* 0: by the locale; 1 to 3: enum glyph_level + 1 */
    bool no_colour, no_mouse;
};

extern const struct settings settings_default;

/* Read the text of a file (text_size bytes) into *settings, over what it holds. */
void settings_parse(struct settings *settings, const char *text, size_t text_size);

/* The text of a file; its size. */
size_t settings_print(const struct settings *settings, char text[SETTINGS_TEXT_MAX]);

/* Where the file is: $XDG_CONFIG_HOME/mesh-monitor/config, or below $HOME/.config, if $HOME is a folder. -1: neither is known. */
int settings_path(char path[SETTINGS_PATH_MAX]);

/* A missing file counts as an empty one. */
void settings_load(struct settings *settings, const char *path);

/* Creates missing folders. */
int settings_save(const struct settings *settings, const char *path, struct fail *fail);

#endif
