#include "theme.h"

#include <assert.h>

enum { BOLD = 1, DIM = 2, REVERSE = 4, UNDERLINE = 8 };

/* What has no background of its own is read on dark terminals and on light ones: it is of middling brightness, or the terminal's. */
static const struct entry {
    short front256, back256, front16, back16;
    unsigned char attributes, plain_attributes; /* with colours, and without */
} entries[STYLES] = {
    [STYLE_NORMAL] = {-1, -1, -1, -1, 0, 0},
    [STYLE_DIM] = {245, -1, -1, -1, DIM, DIM},
    [STYLE_STRONG] = {-1, -1, -1, -1, BOLD, BOLD},
    [STYLE_TITLE] = {231, 24, 7, 4, BOLD, REVERSE},
    [STYLE_TAB] = {250, 236, 7, 0, 0, 0},
    [STYLE_TAB_SHOWN] = {231, 31, 0, 6, BOLD, REVERSE | BOLD},
    [STYLE_FRAME] = {67, -1, 6, -1, 0, 0},
    [STYLE_HEADING] = {16, 109, 0, 6, 0, UNDERLINE},
    [STYLE_SORTED] = {16, 186, 0, 3, BOLD, UNDERLINE | BOLD},
    [STYLE_SELECTED] = {231, 239, 7, 4, BOLD, REVERSE},
    [STYLE_KEY] = {-1, -1, -1, -1, BOLD, BOLD},
    [STYLE_KEY_TEXT] = {16, 109, 0, 6, 0, REVERSE},
    [STYLE_GOOD] = {28, -1, 2, -1, 0, 0},
    [STYLE_WARN] = {136, -1, 3, -1, BOLD, BOLD},
    [STYLE_BAD] = {196, -1, 1, -1, BOLD, REVERSE | BOLD},
    [STYLE_STALE] = {241, -1, -1, -1, DIM, DIM},
    [STYLE_FOUND] = {16, 221, 0, 3, 0, UNDERLINE | BOLD},
    [STYLE_GRAPH] = {30, -1, 6, -1, 0, 0},
    [STYLE_COMPUTE] = {64, -1, 2, -1, 0, BOLD},
    [STYLE_SEND] = {68, -1, 6, -1, 0, 0},
    [STYLE_POLL] = {133, -1, 5, -1, 0, 0},
    [STYLE_WAIT] = {166, -1, 1, -1, 0, BOLD},
    [STYLE_IDLE] = {241, -1, -1, -1, DIM, DIM},
    [STYLE_HEAT + 0] = {250, 234, 7, 0, 0, 0},
    [STYLE_HEAT + 1] = {254, 22, 0, 2, 0, 0},
    [STYLE_HEAT + 2] = {254, 28, 0, 2, 0, 0},
    [STYLE_HEAT + 3] = {16, 106, 0, 2, BOLD, 0},
    [STYLE_HEAT + 4] = {16, 178, 0, 3, 0, 0},
    [STYLE_HEAT + 5] = {16, 208, 0, 3, BOLD, BOLD},
    [STYLE_HEAT + 6] = {231, 166, 7, 1, 0, REVERSE},
    [STYLE_HEAT + 7] = {231, 124, 7, 1, BOLD, REVERSE | BOLD},
};

struct theme_look theme_look(enum style style, enum theme_colours colours)
{
    const bool is_selected = style >= STYLES;
    const struct entry *entry = &entries[style % STYLES];
    const struct entry *behind = is_selected && entry->back256 < 0 ? &entries[STYLE_SELECTED] : entry;
    const unsigned attributes = colours == THEME_NONE ? entry->plain_attributes | (is_selected ? REVERSE : 0) : entry->attributes;

    assert(style < STYLES_LOOKS);
    return (struct theme_look){
        .front = colours == THEME_256  ? entry->front256
                 : colours == THEME_16 ? entry->front16
                                       : -1,
        .back = colours == THEME_256  ? behind->back256
                : colours == THEME_16 ? behind->back16
                                      : -1,
        .bold = attributes & BOLD,
        .dim = (attributes & DIM) && colours != THEME_256,
        .reverse = attributes & REVERSE,
        .underline = attributes & UNDERLINE,
    };
}
