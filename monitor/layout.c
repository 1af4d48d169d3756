#include "layout.h"

enum { FINDINGS_LINES = 4, CURVE_LINES = 5, EVENTS_LINES = 4, SIDE_COLUMNS = 38, SIDE_LINES = 8, MAIN_COLUMNS = 60, MAIN_LINES = 3 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* Cut lines off the top or the bottom of what is left; all or, if there is not so much beside `kept`, none. */
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

static void place_overview(struct layout *l, struct area left, int rows)
{
    const int wanted = least(rows, most(left.height / 2, MAIN_LINES));

    l->part[PART_FINDINGS] = cut_top(&left, left.height >= 24 ? FINDINGS_LINES + 1 : left.height >= 10 ? FINDINGS_LINES : 2, wanted);
    l->part[PART_EVENTS] = cut_bottom(&left, EVENTS_LINES + 1, wanted + 2);
    l->part[PART_CURVE] = cut_top(&left, CURVE_LINES + 1, wanted + 1);
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

/* Main beside its side part when it is wide enough, else above it. */
static void place_beside(struct layout *l, struct area left, int side_columns, int side_lines)
{
    if (left.width >= MAIN_COLUMNS + side_columns) {
        l->part[PART_MAIN] = area_part(left, 0, 0, left.width - side_columns, left.height);
        l->part[PART_SIDE] = area_part(left, left.width - side_columns, 0, side_columns, left.height);
    } else {
        l->part[PART_SIDE] = cut_bottom(&left, side_lines, MAIN_LINES + side_lines);
        l->part[PART_MAIN] = left;
    }
}

struct layout layout_make(enum screen screen, int width, int height, int rows)
{
    struct area left = {0, 0, most(width, 0), most(height, 0)};
    struct layout l = {0};

    l.part[PART_TITLE] = cut_top(&left, 1, 1);
    l.part[PART_KEYS] = cut_bottom(&left, 1, MAIN_LINES);
    l.part[PART_TABS] = cut_top(&left, 1, MAIN_LINES + 3);
    switch (screen) {
    case SCREEN_OVERVIEW:
        place_overview(&l, left, rows);
        break;
    case SCREEN_LINKS:
        place_beside(&l, left, SIDE_COLUMNS, SIDE_LINES + 4);
        break;
    case SCREEN_NODE:
        l.part[PART_CURVE] = cut_bottom(&left, CURVE_LINES + 2, MAIN_LINES + 8);
        place_beside(&l, left, SIDE_COLUMNS + 12, SIDE_LINES);
        break;
    case SCREEN_REQUESTS:
        l.part[PART_CURVE] = cut_bottom(&left, CURVE_LINES + 1, MAIN_LINES + 8);
        l.part[PART_MAIN] = left;
        break;
    default:
        l.part[PART_MAIN] = left;
    }
    return l;
}
