#include "ending.h"

#include <stdio.h>
#include <time.h>

#include "mesh/program/text_decode.h"

enum { MOMENT_BYTES = 100 };
#define YEAR_2001_NS INT64_C(1000000000000000000) /* clocks of machines, which begin with them, do not show that much */

static void utc_text(int64_t unix_ns, char text[MOMENT_BYTES])
{
    const time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, MOMENT_BYTES, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0)
        snprintf(text, MOMENT_BYTES, "a moment that cannot be");
}

static void moment_text(const struct mesh_trace_ending *ending, char text[MOMENT_BYTES])
{
    const bool is_known = ending->begun_ns != MESH_TRACE_NULL && ending->begun_unix_ns != MESH_TRACE_NULL;
    const uint64_t since_ns = (uint64_t)ending->until_ns - (uint64_t)ending->begun_ns;
    char utc[MOMENT_BYTES];

    if (ending->until_ns == MESH_TRACE_NULL) {
        snprintf(text, MOMENT_BYTES, "its beginning");
    } else if (is_known) {
        utc_text((int64_t)((uint64_t)ending->begun_unix_ns + since_ns), utc);
        snprintf(text, MOMENT_BYTES, "%.60s, %.3f s after its beginning", utc, (double)(int64_t)since_ns / 1e9);
    } else if (ending->until_ns >= YEAR_2001_NS) {
        utc_text(ending->until_ns, text);
    } else {
        snprintf(text, MOMENT_BYTES, "%.3f s by its clock", (double)ending->until_ns / 1e9);
    }
}

void ending_text(const struct mesh_trace_ending *ending, char text[ENDING_TEXT_BYTES])
{
    char moment[MOMENT_BYTES];

    moment_text(ending, moment);
    switch (ending->kind) {
    case MESH_TRACE_END_COMPLETE:
        snprintf(text, ENDING_TEXT_BYTES, "complete: recorded until its end, %s", moment);
        return;
    case MESH_TRACE_END_CONTINUED:
        snprintf(text, ENDING_TEXT_BYTES, "recorded until %s, and continues in %s", moment, ending->next);
        text_decode_disarm(text);
        return;
    case MESH_TRACE_END_OPEN:
        snprintf(text, ENDING_TEXT_BYTES, "is being written: recorded until %s so far", moment);
        return;
    case MESH_TRACE_END_EARLY:
        snprintf(text, ENDING_TEXT_BYTES,
                 "ends early: recorded until %s: whether anything came after that is not known, as the recorder was killed or had no room, "
                 "or the file was copied or removed before it was closed",
                 moment);
        return;
    default:
        snprintf(text, ENDING_TEXT_BYTES, "recorded until %s; whether that is its end is not known, as an earlier version wrote it",
                 moment);
    }
}

const char *ending_word(enum mesh_trace_ending_kind kind)
{
    static const char *const words[] = {"unknown", "open", "early", "complete", "continued"};

    return words[kind];
}
