/* The findings on the overview: bad ones get their lines before the others. */
#include "view.h"

enum { MARK_COLUMNS = 3 };

static bool is_bad(const struct finding *finding)
{
    return finding->style == STYLE_BAD;
}

/* The lines that all of the finding's text takes. */
static int lines_of(const struct view *view, int finding)
{
    return canvas_text_wrapped(view->canvas, (struct area){.width = view->canvas->width - MARK_COLUMNS}, STYLE_NORMAL,
                               view->findings[finding].text);
}

struct layout_findings view_find(struct view *view)
{
    struct layout_findings lines = {0};
    bool is_all_bad = true;

    view->finding_count = findings_find(view->fleet, view->tick, view->findings);
    for (int i = 0; i < view->finding_count; i++) {
        const int needed = lines_of(view, i);

        lines.all += needed;
        lines.bad += is_bad(&view->findings[i]) ? needed : 0;
        is_all_bad &= is_bad(&view->findings[i]);
    }
    lines.bad += lines.bad > 0 && !is_all_bad; /* "and N more" */
    return lines;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Deal the lines of the area: bad findings have what they need, as far as there is room; each of the others has one, then more. Returns the
 * number of findings that are shown; if that is not all, a line is left for their number. */
static int deal(const struct view *view, int height, int lines[FINDINGS_MAX])
{
    const int count = view->finding_count;
    int at = 0, left = height;

    for (; at < count && is_bad(&view->findings[at]); at++) {
        const int room = left - (at < count - 1 && height > 1);

        if (room <= 0)
            return at;
        lines[at] = least(lines_of(view, at), room);
        left -= lines[at];
    }
    const int first = at, shown = count - first <= left ? count : first + (left > 1 ? left - 1 : height == 1 ? left : 0);

    for (; at < shown; at++, left--)
        lines[at] = 1;
    for (at = first; at < shown && shown == count && left > 0; at++) {
        lines[at] = least(lines_of(view, at), 1 + left);
        left -= lines[at] - 1;
    }
    return shown;
}

void view_findings(struct view *view)
{
    const struct area area = view->layout.part[PART_FINDINGS];
    int lines[FINDINGS_MAX], y = 0;
    const int shown = deal(view, area.height, lines);

    for (int i = 0; i < shown; y += lines[i], i++) {
        const enum style style = view->findings[i].style;
        const struct area place = area_part(area, MARK_COLUMNS, y, area.width, lines[i]);

        canvas_text(view->canvas, area, 1, y, style,
                    style == STYLE_BAD    ? "✗"
                    : style == STYLE_WARN ? "▲"
                    : style == STYLE_GOOD ? "✓"
                                          : "·");
        if (lines[i] == 1)
            canvas_text_cut(view->canvas, place, 0, 0, style, view->findings[i].text);
        else
            canvas_text_wrapped(view->canvas, place, style, view->findings[i].text);
    }
    if (shown < view->finding_count)
        canvas_print(view->canvas, area, 1, y, STYLE_DIM, "… and %d more", view->finding_count - shown);
}
