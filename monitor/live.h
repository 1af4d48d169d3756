/* The two ways to run: on a terminal, and in batch. */
#ifndef MONITOR_LIVE_H
#define MONITOR_LIVE_H

#include "feed.h"
#include "glyph.h"
#include "recorded.h"
#include "settings.h"

struct live_config {
    struct settings settings;  /* as of the file and the options */
    const char *settings_path; /* where they are kept in the end; NULL: nowhere */
    enum glyph_level glyphs;
    bool is_read_only, json;
    struct recorded *recorded; /* to be watched instead of a living mesh; NULL: none. Borrowed */
    double speed;              /* at which it is played */
    uint32_t iterations;       /* batch: 0 is no end */
};

/* Until the person quits. feed: NULL where there is a recording. 0, or -1. */
int live_run(const struct live_config *config, struct feed *feed, struct fail *fail);

/* One report per interval on stdout, for so many intervals. */
int live_batch(const struct live_config *config, struct feed *feed, struct fail *fail);

#endif
