/* The two ways to run: on a terminal, and in batch. */
#ifndef MONITOR_LIVE_H
#define MONITOR_LIVE_H

#include "feed.h"
#include "glyph.h"
#include "recorded.h"
#include "settings.h"

struct live_config {
    struct settings settings;  /* from the file and the options */
    const char *settings_path; /* where they are saved at the end; NULL: nowhere */
    enum glyph_level glyphs;
    bool no_colour, no_mouse; /* by the settings or an option, which is not saved */
    bool is_read_only, json;
    struct recorded *recorded; /* watched instead of a live mesh; NULL: none. Borrowed */
    double speed;              /* at which it is played */
    uint32_t iterations;       /* batch: 0 is endless */
};

/* Runs until the user quits. feed: NULL for a recording. 0, or -1. */
int live_run(const struct live_config *config, struct feed *feed, struct fail *fail);

/* One report per interval on stdout, for that many intervals. */
int live_batch(const struct live_config *config, struct feed *feed, struct fail *fail);

#endif
