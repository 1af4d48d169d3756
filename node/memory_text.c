#include "memory_text.h"

#include <inttypes.h>
#include <stdio.h>

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

static uint64_t machine_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    uint64_t kib, available = UINT64_MAX;

    if (file == NULL)
        return UINT64_MAX;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1) {
            available = kib * 1024;
            break;
        }
    }
    fclose(file);
    return available;
}

uint64_t memory_available_bytes(void)
{
    const uint64_t machine = machine_bytes(), group = memory_group_bytes("");

    return group < machine ? group : machine;
}
