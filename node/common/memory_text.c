#include "memory_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "memory_group.h"

void memory_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    int unit = 0;

    while (value >= 999.5 && unit < 6) {
        value /= 1000.0;
        unit++;
    }
    snprintf(out, MEMORY_TEXT_BYTES, "%.*f %s", unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value, units[unit]);
}

void memory_available_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES])
{
    if (bytes == UINT64_MAX)
        snprintf(out, MEMORY_TEXT_BYTES, "an unknown amount");
    else
        memory_text(bytes, out);
}

/* The line "NAME: N kB" of a file of /proc; unknown where there is none. */
static uint64_t read_bytes(const char *path, const char *name, uint64_t unknown)
{
    const size_t name_size = strlen(name);
    FILE *file = fopen(path, "re");
    uint64_t kib, bytes = unknown;
    char line[128];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, name_size) == 0 && sscanf(line + name_size, ": %" SCNu64 " kB", &kib) == 1) {
            bytes = kib * 1024;
            break;
        }
    }
    if (file != NULL)
        fclose(file);
    return bytes;
}

uint64_t memory_available_bytes(void)
{
    const uint64_t machine = read_bytes("/proc/meminfo", "MemAvailable", UINT64_MAX), group = memory_group_bytes("");

    return group < machine ? group : machine;
}

uint64_t memory_held_bytes(void)
{
    return read_bytes("/proc/self/status", "RssAnon", 0);
}
