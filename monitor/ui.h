/* What the user sees and has chosen: a pure state machine of keys and clicks.
 *
 * Keys become actions by keys.h; clicks hit zones, which the drawing code leaves behind. Nothing here draws; requests to the program are
 * only `is_over` and the members named `wants`. A selection is of a node, not of a line. */
#ifndef MONITOR_UI_H
#define MONITOR_UI_H

#include "fleet.h"
#include "keys.h"
#include "layout.h"
#include "playback.h"
#include "settings.h"

enum { UI_TEXT_BYTES = 48, UI_ZONES = 320, UI_NOTICE_BYTES = 160 };

enum metric { METRIC_P50, METRIC_P99, METRIC_LOSS, METRIC_WAITS, METRICS };

enum ui_mode { UI_BROWSING, UI_SEARCHING, UI_FILTERING, UI_HELP };

/* Where a click does something: its argument grows by one for each `step_y` lines, and by 256 for each `step_x` columns. */
struct ui_zone {
    struct area area;
    enum action action;
    int argument, step_x, step_y;
};

struct ui {
    enum screen screen, screen_before;
    enum ui_mode mode;
    enum metric metric;
    int selected; /* node; of the matrix: the sender. FLEET_NOBODY: none yet */
    int receiver; /* of the matrix */
    int sort;     /* column of the overview */
    bool is_inverted;
    int line; /* of requests, events and steps: counted from the newest */
    bool is_paused;
    uint64_t tick; /* shown while paused */
    uint32_t interval_ms;
    char search[UI_TEXT_BYTES], filter[UI_TEXT_BYTES], typed[UI_TEXT_BYTES];
    char notice[UI_NOTICE_BYTES];
    uint64_t notice_ns; /* when it ceases to be shown */
    bool is_read_only;
    bool is_over, wants_save, wants_reset;
    struct playback playback;
    int page;                              /* lines of the main part, as last drawn */
    int help_line, help_room, help_hidden; /* the first line of the help that is shown; lines shown and not shown, as last drawn */
    int line_count;
    struct ui_zone zone[UI_ZONES];
    int zone_count;
};

void ui_init(struct ui *ui, const struct settings *settings);

/* The part of it that is saved. */
void ui_settings(const struct ui *ui, struct settings *settings);

void ui_key(struct ui *ui, const struct fleet *fleet, uint32_t key);

/* A click, or a turn of the wheel (lines: negative is up; 0 is a click). */
void ui_mouse(struct ui *ui, const struct fleet *fleet, int x, int y, int wheel_lines);

/* What a key or click does. argument: of the key's binding, or of the zone. */
void ui_act(struct ui *ui, const struct fleet *fleet, enum action action, int argument);

/* Move the selection: down and to the right, or up and to the left when below 0. */
void ui_move(struct ui *ui, const struct fleet *fleet, int lines, int columns);

/* The tick to show; false: there is none yet. */
bool ui_tick(const struct ui *ui, const struct fleet *fleet, uint64_t *tick);

/* Nodes as listed in the overview: filtered and sorted; returns their number. */
int ui_nodes(const struct ui *ui, const struct fleet *fleet, int nodes[FLEET_NODES_MAX]);

/* Does the text contain what was typed? ASCII letters match in either case; an empty pattern matches. */
bool ui_matches(const char *text, const char *pattern);
bool ui_node_matches(const struct fleet *fleet, int node, uint64_t tick, const char *pattern); /* its address; its rank and state then */

/* The selected node, else the first; FLEET_NOBODY: there is none. */
int ui_selected(const struct ui *ui, const struct fleet *fleet);
int ui_receiver(const struct ui *ui, const struct fleet *fleet);

void ui_add_zone(struct ui *ui, struct area area, enum action action, int argument, int step_x, int step_y);
__attribute__((format(printf, 3, 4))) void ui_notice(struct ui *ui, uint64_t until_ns, const char *format, ...);

#endif
