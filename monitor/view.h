/* Screens drawn onto a canvas: each a function of the fleet, the user's choices and the time, and nothing else. */
#ifndef MONITOR_VIEW_H
#define MONITOR_VIEW_H

#include "canvas.h"
#include "findings.h"
#include "fleet.h"
#include "layout.h"
#include "ui.h"

struct view {
    struct canvas *canvas;
    const struct fleet *fleet;
    struct ui *ui; /* its zones and page are written */
    struct layout layout;
    uint64_t tick;
    bool has_tick;
    uint64_t now_ns; /* monotonic */
    int64_t wall_ns;
    struct finding findings[FINDINGS_MAX]; /* of the overview */
    int finding_count;
};

/* Draw everything onto a canvas, which is cleared first. */
void view_draw(struct canvas *canvas, const struct fleet *fleet, struct ui *ui, uint64_t now_ns, int64_t wall_ns);

/* ---- its parts ---- */

void view_overview(struct view *view);
void view_findings(struct view *view);
void view_links(struct view *view);
void view_node(struct view *view);
void view_tokens(struct view *view);
void view_requests(struct view *view);
void view_events(struct view *view, struct area area, bool is_screen);

/* Find what the overview has to say; returns the lines that it takes. */
struct layout_findings view_find(struct view *view);

/* A curve of the mesh's speed, with its scale. */
void view_speed(struct view *view, struct area area);

/* The selected line of a list; when the list has become shorter, its last. */
int view_line(struct view *view, int count);

/* The first line of a list to show in that many lines, so that the selected one is visible. */
int view_first_line(int selected, int count, int room);

/* A node's rank, "0", "2", ...; "?" for none. */
const char *view_name(const struct view *view, int node, char out[8]);

#endif
