#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "layout.h"
#include "mesh/program/replace_file.h"

const struct settings settings_default = {.interval_ms = 1000, .sort = "rank", .metric = 1};

enum kind { NUMBER, SWITCH, WORD };

static const struct entry {
    const char *name;
    enum kind kind;
    size_t offset;
    uint32_t min, max;
    const char *comment;
} entries[] = {
    {"interval_ms", NUMBER, offsetof(struct settings, interval_ms), INTERVAL_MS_MIN, INTERVAL_MS_MAX, "between two updates"},
    {"sort", WORD, offsetof(struct settings, sort), 0, 0, "the column of the overview"},
    {"inverted", SWITCH, offsetof(struct settings, is_inverted), 0, 0, "sorted in reverse"},
    {"metric", NUMBER, offsetof(struct settings, metric), 0, 3, "of links: 0 p50, 1 p99, 2 loss, 3 waits"},
    {"screen", NUMBER, offsetof(struct settings, screen), 0, SCREENS - 1, "that is shown first"},
    {"glyphs", NUMBER, offsetof(struct settings, glyphs), 0, 3, "0 by the locale, 1 ASCII, 2 lines and blocks, 3 all"},
    {"no_colour", SWITCH, offsetof(struct settings, no_colour), 0, 0, ""},
    {"no_mouse", SWITCH, offsetof(struct settings, no_mouse), 0, 0, ""},
};

enum { ENTRIES = sizeof entries / sizeof *entries };

static void set(struct settings *settings, const struct entry *entry, const char *value)
{
    char *at = (char *)settings + entry->offset, *end;
    unsigned long number;

    switch (entry->kind) {
    case NUMBER:
        number = strtoul(value, &end, 10);
        if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && number >= entry->min && number <= entry->max)
            *(uint32_t *)(void *)at = (uint32_t)number;
        break;
    case SWITCH:
        if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
            *(bool *)at = value[0] == 'y';
        break;
    case WORD:
        if (value[0] != '\0' && strlen(value) < SETTINGS_NAME_MAX)
            memcpy(at, value, strlen(value) + 1);
        break;
    }
}

static void parse_line(struct settings *settings, const char *line)
{
    char name[SETTINGS_NAME_MAX], value[SETTINGS_NAME_MAX], rest;

    if (sscanf(line, " %23[a-z_] = %23s %c", name, value, &rest) != 2)
        return;
    for (int i = 0; i < ENTRIES; i++)
        if (strcmp(entries[i].name, name) == 0)
            set(settings, &entries[i], value);
}

void settings_parse(struct settings *settings, const char *text, size_t text_size)
{
    char line[128];
    size_t used = 0;

    for (size_t i = 0; i <= text_size; i++) {
        if (i < text_size && text[i] != '\n') {
            used += used < sizeof line; /* a line longer than any of ours is ignored */
            line[used < sizeof line ? used - 1 : 0] = used < sizeof line ? text[i] : '#';
            continue;
        }
        line[used < sizeof line ? used : sizeof line - 1] = '\0';
        parse_line(settings, line);
        used = 0;
    }
}

size_t settings_print(const struct settings *settings, char text[SETTINGS_TEXT_MAX])
{
    size_t used = (size_t)snprintf(text, SETTINGS_TEXT_MAX, "# Written by mesh-monitor when it ends.\n");

    for (int i = 0; i < ENTRIES; i++) {
        const struct entry *entry = &entries[i];
        const char *at = (const char *)settings + entry->offset;
        char value[SETTINGS_NAME_MAX];

        if (entry->kind == NUMBER)
            snprintf(value, sizeof value, "%u", (unsigned)*(const uint32_t *)(const void *)at);
        else
            snprintf(value, sizeof value, "%s", entry->kind == WORD ? at : *(const bool *)at ? "yes" : "no");
        if (entry->comment[0] != '\0')
            used += (size_t)snprintf(text + used, SETTINGS_TEXT_MAX - used, "# %s\n", entry->comment);
        used += (size_t)snprintf(text + used, SETTINGS_TEXT_MAX - used, "%s = %s\n", entry->name, value);
    }
    return used;
}

/* Some users have a home that is not there, such as /nonexistent, and is not to be made. */
static bool is_folder(const char *path)
{
    struct stat status;

    return path[0] == '/' && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int settings_path(char path[SETTINGS_PATH_MAX])
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int size = 0;

    if (config != NULL && config[0] == '/') /* relative paths are to be ignored, says the XDG base directory specification */
        size = snprintf(path, SETTINGS_PATH_MAX, "%s/mesh-monitor/config", config);
    else if (home != NULL && is_folder(home))
        size = snprintf(path, SETTINGS_PATH_MAX, "%s/.config/mesh-monitor/config", home);
    return size > 0 && size < SETTINGS_PATH_MAX ? 0 : -1;
}

void settings_load(struct settings *settings, const char *path)
{
    char text[SETTINGS_TEXT_MAX];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return;
    settings_parse(settings, text, fread(text, 1, sizeof text, file));
    fclose(file);
}

static int make_folders(const char *path, struct fail *fail)
{
    char folder[SETTINGS_PATH_MAX];

    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot be made: %s: settings are not kept", folder, strerror(errno));
        *slash = '/';
    }
    return 0;
}

int settings_save(const struct settings *settings, const char *path, struct fail *fail)
{
    char text[SETTINGS_TEXT_MAX];
    const size_t size = settings_print(settings, text);
    struct replace_file file;

    if (make_folders(path, fail) < 0 || replace_file_open(&file, path, fail) < 0)
        return -1;
    return replace_file_end(&file, replace_file_write(&file, text, size, fail), fail);
}
