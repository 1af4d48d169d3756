#include "layout.h"

#include <assert.h>

enum { FINDINGS_LINES = 4, FINDINGS_LINES_MAX = 8, CURVE_LINES = 5, EVENTS_LINES = 4, MAIN_COLUMNS = 60, MAIN_LINES = 3 };

/* The part beside or below main: its columns, the number of its facts, and the columns of each. */
static const struct side {
    int columns, facts, fact_columns;
} side_of_links = {38, 15, 38}, side_of_node = {50, 22, 25};

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* Cut lines off the top or the bottom of what is left: all, or none if fewer than `kept` would remain. */
static struct area cut_top(struct area *left, int lines, int kept)
{
    struct area cut = area_part(*left, 0, 0, left->width, left->height >= lines + kept ? lines : 0);

    *left = area_below(*left, cut.height);
    return cut;
}

static struct area cut_bottom(struct area *left, int lines, int kept)
{
    lines = left->height >= lines + kept ? lines : 0;
    struct area cut = area_part(*left, 0, left->height - lines, left->width, lines);

    left->height -= lines;
    return cut;
}

/* Rows that the table leaves empty go to the findings. */
static void grow_findings(struct layout *l, struct area *left, int rows, int lines)
{
    const int grown = most(least(left->height - rows, lines - l->part[PART_FINDINGS].height), 0);

    l->part[PART_FINDINGS].height += grown;
    l->part[PART_CURVE].y += grown;
    *left = area_below(*left, grown);
}

static void place_overview(struct layout *l, struct area left, int rows, struct layout_findings lines)
{
    const int wanted = least(rows, most(left.height / 2, MAIN_LINES));
    const int least_findings = left.height >= 24 ? FINDINGS_LINES + 1 : left.height >= 10 ? FINDINGS_LINES : 2;
    const int findings = most(least_findings, least(lines.bad, left.height - wanted - 1));
    const int room = left.height - (wanted + 1) - (EVENTS_LINES + 1) - (CURVE_LINES + 1); /* besides events and the curve */

    l->part[PART_FINDINGS] = cut_top(&left, most(findings, least(room, FINDINGS_LINES_MAX)), wanted);
    l->part[PART_EVENTS] = cut_bottom(&left, EVENTS_LINES + 1, wanted + 2);
    l->part[PART_CURVE] = cut_top(&left, CURVE_LINES + 1, wanted + 1);
    grow_findings(l, &left, rows, lines.all);
    if (left.height > rows + 6) { /* room to spare: the curve grows, then the events */
        const int spare = left.height - rows - 2, grown = least(spare / 2, 6);

        if (l->part[PART_CURVE].height > 0) {
            l->part[PART_CURVE].height += grown;
            left = area_below(left, grown);
        }
        l->part[PART_EVENTS].y -= spare - grown;
        l->part[PART_EVENTS].height += spare - grown;
        left.height -= spare - grown;
    }
    l->part[PART_MAIN] = left;
}

/* Main beside its side part if there is the width, else above it, and a curve of that many lines below both. The rows that main wants come
 * first, up to half of the height, then the side part. */
static void place_beside(struct layout *l, struct area left, const struct side *side, int rows, int curve)
{
    const int wanted = most(least(rows, left.height / 2), MAIN_LINES);
    const int abreast = most(left.width / side->fact_columns, 1), lines = 1 + (side->facts + abreast - 1) / abreast;
    const bool is_beside = left.width >= MAIN_COLUMNS + side->columns;
    const int kept = is_beside ? MAIN_LINES + 8 : left.height >= wanted + lines ? wanted + lines : wanted;

    if (curve > 0)
        l->part[PART_CURVE] = cut_bottom(&left, curve, kept);
    if (is_beside) {
        l->part[PART_MAIN] = area_part(left, 0, 0, left.width - side->columns, left.height);
        l->part[PART_SIDE] = area_part(left, left.width - side->columns, 0, side->columns, left.height);
    } else {
        l->part[PART_SIDE] = cut_bottom(&left, lines, wanted);
        l->part[PART_MAIN] = left;
    }
}

struct layout layout_make(enum screen screen, int width, int height, int rows, struct layout_findings lines)
{
    struct area left = {0, 0, most(width, 0), most(height, 0)};
    struct layout l = {0};

    l.part[PART_TITLE] = cut_top(&left, 1, 1);
    l.part[PART_KEYS] = cut_bottom(&left, 1, MAIN_LINES);
    l.part[PART_TABS] = cut_top(&left, 1, MAIN_LINES + 3);
    switch (screen) {
    case SCREEN_OVERVIEW:
        place_overview(&l, left, rows, lines);
        break;
    case SCREEN_LINKS:
        place_beside(&l, left, &side_of_links, rows + 1, 0);
        break;
    case SCREEN_NODE:
        place_beside(&l, left, &side_of_node, rows, CURVE_LINES + 2);
        break;
    case SCREEN_REQUESTS:
        l.part[PART_CURVE] = cut_bottom(&left, CURVE_LINES + 1, MAIN_LINES + 8);
        l.part[PART_MAIN] = left;
        break;
    case SCREEN_TOKENS:
    case SCREEN_EVENTS:
        l.part[PART_MAIN] = left;
        break;
    case SCREENS:
        assert(!"a screen");
    }
    return l;
}
