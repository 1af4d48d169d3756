#include "screen.h"

#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum glyph_level screen_glyphs(void)
{
    const char *term = getenv("TERM");

    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        return GLYPHS_ASCII;
    return term != NULL && strcmp(term, "linux") == 0 ? GLYPHS_BOX : GLYPHS_FULL;
}

#ifndef MONITOR_HAVE_NCURSES

int screen_open(const struct screen_config *config, struct fail *fail)
{
    (void)config;
    return fail_set(fail, EXIT_ENVIRONMENT, "terminal: built without ncurses: use -b, or install libncurses-dev and build again");
}

void screen_close(void)
{
}

void screen_size(int *width, int *height)
{
    *width = *height = 0;
}

void screen_show(const struct canvas *canvas)
{
    (void)canvas;
}

struct screen_input screen_next(void)
{
    return (struct screen_input){SCREEN_NOTHING, 0, 0, 0, 0};
}

#else

#include <ncurses.h>

#include "keys.h"

enum { WHEEL_LINES = 3 };

NCURSES_EXPORT(char *) tigetstr(const char *name); /* as in term.h, which also has a macro for each capability */

static SCREEN *terminal;
static struct canvas shown; /* what ncurses has been given */

static void make_styles(enum theme_colours colours)
{
    for (int style = 0; style < STYLES_LOOKS && colours != THEME_NONE; style++) {
        const struct theme_look look = theme_look((enum style)style, colours);

        init_pair((short)(style + 1), look.front, look.back);
    }
}

static enum theme_colours colours_of_terminal(const struct screen_config *config)
{
    const char *no_colour = getenv("NO_COLOR");

    if (config->no_colour || (no_colour != NULL && no_colour[0] != '\0') || !has_colors())
        return THEME_NONE;
    if (start_color() == ERR || use_default_colors() == ERR || COLOR_PAIRS <= STYLES_LOOKS)
        return THEME_NONE;
    return COLORS >= 256 ? THEME_256 : THEME_16;
}

static enum theme_colours colours;

int screen_open(const struct screen_config *config, struct fail *fail)
{
    const char *term = getenv("TERM");

    terminal = newterm(NULL, stdout, stdin);
    if (terminal == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "terminal: TERM=%.40s is not known: set TERM to what it is, or use -b",
                        term != NULL ? term : "");
    set_term(terminal);
    if (tigetstr("cup") == NULL) {
        screen_close();
        return fail_set(fail, EXIT_ENVIRONMENT, "terminal: TERM=%.40s cannot place its cursor: set TERM to what it is, or use -b",
                        term != NULL ? term : "");
    }
    raw();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    colours = colours_of_terminal(config);
    make_styles(colours);
    if (!config->no_mouse) {
        mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
        mouseinterval(0);
    }
    return 0;
}

void screen_close(void)
{
    if (terminal == NULL)
        return;
    endwin();
    delscreen(terminal);
    terminal = NULL;
    canvas_release(&shown);
}

void screen_size(int *width, int *height)
{
    getmaxyx(stdscr, *height, *width);
}

static void use_style(enum style style)
{
    const struct theme_look look = theme_look(style, colours);
    const attr_t attributes =
        (look.bold ? A_BOLD : 0) | (look.dim ? A_DIM : 0) | (look.reverse ? A_REVERSE : 0) | (look.underline ? A_UNDERLINE : 0);

    attr_set(attributes, colours != THEME_NONE ? (short)(style + 1) : 0, NULL);
}

/* Adjacent cells of one style go out in one call. */
static void show_line(const struct canvas *canvas, int y)
{
    char text[256 * (GLYPH_BYTES - 1) + 1];

    for (int x = 0; x < canvas->width;) {
        const struct cell *cell = &canvas->cells[y * canvas->width + x];
        size_t used = 0;
        int run = 0;

        for (; run < 256 && x + run < canvas->width && cell[run].style == cell->style; run++) {
            const size_t bytes = strlen(cell[run].glyph);

            memcpy(text + used, cell[run].glyph, bytes);
            used += bytes;
        }
        text[used] = '\0';
        use_style((enum style)cell->style);
        mvaddstr(y, x, text);
        x += run;
    }
}

/* Unchanged lines are not given to ncurses again, which decodes every character. */
void screen_show(const struct canvas *canvas)
{
    const size_t line_bytes = (size_t)canvas->width * sizeof *canvas->cells;
    const bool is_known = shown.cells != NULL && shown.width == canvas->width && shown.height == canvas->height;

    if (!is_known) {
        canvas_release(&shown);
        if (canvas_init(&shown, canvas->width, canvas->height, canvas->level) < 0)
            shown.cells = NULL;
    }
    for (int y = 0; y < canvas->height; y++) {
        const struct cell *line = canvas->cells + (size_t)y * (size_t)canvas->width;

        if (is_known && memcmp(shown.cells + (size_t)y * (size_t)canvas->width, line, line_bytes) == 0)
            continue;
        if (shown.cells != NULL)
            memcpy(shown.cells + (size_t)y * (size_t)canvas->width, line, line_bytes);
        show_line(canvas, y);
    }
    refresh();
}

static struct screen_input mouse_input(void)
{
    MEVENT event;

    if (getmouse(&event) != OK)
        return (struct screen_input){SCREEN_NOTHING, 0, 0, 0, 0};
    if (event.bstate & BUTTON4_PRESSED)
        return (struct screen_input){SCREEN_WHEEL, 0, event.x, event.y, -WHEEL_LINES};
    if (event.bstate & BUTTON5_PRESSED)
        return (struct screen_input){SCREEN_WHEEL, 0, event.x, event.y, WHEEL_LINES};
    return (struct screen_input){SCREEN_CLICK, 0, event.x, event.y, 0};
}

static uint32_t key_of(int code)
{
    static const struct {
        int code;
        uint32_t key;
    } keys[] = {
        {KEY_UP, KEY_IS_UP},         {KEY_DOWN, KEY_IS_DOWN},           {KEY_LEFT, KEY_IS_LEFT},   {KEY_RIGHT, KEY_IS_RIGHT},
        {KEY_PPAGE, KEY_IS_PAGE_UP}, {KEY_NPAGE, KEY_IS_PAGE_DOWN},     {KEY_HOME, KEY_IS_HOME},   {KEY_END, KEY_IS_END},
        {KEY_BTAB, KEY_IS_BACK_TAB}, {KEY_BACKSPACE, KEY_IS_BACKSPACE}, {KEY_ENTER, KEY_IS_ENTER},
    };

    if (code >= KEY_F(1) && code <= KEY_F(12))
        return KEY_IS_F1 + (uint32_t)(code - KEY_F(1));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].code == code)
            return keys[i].key;
    return 0;
}

enum { CTRL_Z = 'Z' & 31 }; /* as a character: the terminal is raw */

struct screen_input screen_next(void)
{
    wint_t code;
    const int kind = get_wch(&code);

    if (kind == KEY_CODE_YES && code == KEY_RESIZE)
        return (struct screen_input){SCREEN_RESIZED, 0, 0, 0, 0};
    if (kind == KEY_CODE_YES && code == KEY_MOUSE)
        return mouse_input();
    if (kind == KEY_CODE_YES)
        return (struct screen_input){SCREEN_KEY, key_of((int)code), 0, 0, 0};
    if (kind == OK && code == CTRL_Z) {
        kill(0, SIGTSTP); /* as the terminal would; ncurses gives it back to the shell, and draws all anew when the monitor goes on */
        return (struct screen_input){SCREEN_RESIZED, 0, 0, 0, 0};
    }
    if (kind == OK)
        return (struct screen_input){SCREEN_KEY, (uint32_t)code, 0, 0, 0};
    return (struct screen_input){SCREEN_NOTHING, 0, 0, 0, 0};
}

#endif
