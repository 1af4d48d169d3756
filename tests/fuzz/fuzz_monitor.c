/* Any bytes as telemetry, mixed with ticks, keys, clicks and changes of size: the monitor's model stays within its limits, and every screen
 * and report can be made of it.
 *
 * Input: steps of one byte for the kind, one for the length, and so many bytes. Drawing costs a hundred times as much as taking in a
 * report, so an input draws at most DRAWS_MAX times, and one screen in the end: the first byte says which, and which report is written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/report.h"
#include "monitor/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE_BYTES = 1020, STEPS_MAX = 100, DRAWS_MAX = 2 };
enum { RECORD_BYTES = MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + PIECE_BYTES };

struct world {
    struct fleet fleet;
    struct ui ui;
    uint64_t now_ns;
    int draws;
};

static void report(struct world *w, const uint8_t *bytes, size_t size)
{
    uint8_t record[RECORD_BYTES], piece[PIECE_BYTES] = {0};
    struct mesh_telemetry_report made = {
        .now_ns = w->now_ns, .unix_ms = 1, .piece = piece, .piece_bytes = size < PIECE_BYTES ? size : PIECE_BYTES};

    if (size > 0)
        memcpy(piece, bytes, made.piece_bytes);
    fleet_report(&w->fleet, w->now_ns, (int64_t)w->now_ns, record, mesh_telemetry_write_report(&made, record));
}

static void draw(struct world *w, int width, int height)
{
    struct canvas canvas;

    if (canvas_init(&canvas, width, height, (enum glyph_level)(width % 3)) < 0)
        abort();
    view_draw(&canvas, &w->fleet, &w->ui, w->now_ns, (int64_t)w->now_ns);
    canvas_release(&canvas);
}

static void look(struct world *w, unsigned which)
{
    static char text[1 << 18];
    FILE *out = fmemopen(text, sizeof text, "w");
    struct report_cursor cursor = {0};

    if (out == NULL)
        abort();
    w->ui.screen = (enum screen)(which % SCREENS);
    draw(w, 64, 20);
    if (which / SCREENS % 4 == 0 && w->fleet.ticks > 0)
        report_json(&w->fleet, w->fleet.ticks - 1, which & 1 ? NULL : &cursor, out);
    if (which / SCREENS % 4 == 1)
        report_text(&w->fleet, &w->ui, &cursor, 80, GLYPHS_FULL, out);
    fclose(out);
}

static void step(struct world *w, uint8_t what, const uint8_t *bytes, size_t size)
{
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        report(w, bytes, size);
        break;
    case 3:
        w->now_ns += UINT64_C(1000000) << (size % 16);
        fleet_tick(&w->fleet, w->now_ns, (int64_t)w->now_ns);
        break;
    case 4:
        for (size_t i = 0; i < size; i++)
            ui_key(&w->ui, &w->fleet, bytes[i] < 128 ? bytes[i] : KEY_BASE + bytes[i] - 127u);
        break;
    case 5:
        if (size >= 3)
            ui_mouse(&w->ui, &w->fleet, bytes[0], bytes[1], bytes[2] % 3 - 1);
        break;
    case 6:
        if (w->draws++ < DRAWS_MAX)
            draw(w, size > 0 ? bytes[0] % 128 : 0, size > 1 ? bytes[1] % 32 : 0);
        break;
    default:
        fleet_set_connected(&w->fleet, w->now_ns, (int64_t)w->now_ns, size % 2 == 0, "somebody");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    size_t at = 0;

    if (w.fleet.nodes == NULL && fleet_init(&w.fleet) < 0) /* once: allocating and freeing 3 MB costs more than most inputs */
        abort();
    w.now_ns = 1000000000;
    w.draws = 0;
    ui_init(&w.ui, &settings_default);
    fleet_set_connected(&w.fleet, w.now_ns, 1, true, "somebody");
    for (int i = 0; i < STEPS_MAX && at + 2 <= size; i++) {
        const size_t wanted = (size_t)data[at + 1] * (data[at] % 8 < 3 ? 4 : 1);
        const size_t length = wanted < size - at - 2 ? wanted : size - at - 2;

        step(&w, data[at], data + at + 2, length);
        at += 2 + length;
    }
    look(&w, size > 0 ? data[0] / 8u : 0);
    fleet_clear(&w.fleet);
    return 0;
}
