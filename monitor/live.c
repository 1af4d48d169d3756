#include "live.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mesh/program/standard_streams.h"
#include "player.h"
#include "report.h"
#include "screen.h"
#include "view.h"

static const uint64_t ms_ns = 1000000;
enum {
    LOOK_MS = 25,
    REDRAW_MS = 1000,
    PLAY_DRAW_MS = 200,
    TELL_MS = 300,
    NOTICE_MS = 4000,
    BATCH_TIMEOUT_MS = 5000,
    FIRST_INTERVAL_MS = 1000
};
enum { TEXT_COLUMNS = 120 };

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    is_interrupted = number;
}

static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt};

    is_interrupted = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- on a terminal ---- */

struct live {
    const struct live_config *config;
    struct feed *feed;
    struct fleet fleet;
    struct ui ui;
    struct canvas canvas;
    uint64_t next_tick_ns, next_draw_ns;
    uint64_t asked_interval_ns, asked_ns; /* since when this interval has been asked for */
    bool has_interval;                    /* one has been sampled; until then intervals are short, so that there is something to see soon */
    struct player player;                 /* of the recording */
    uint64_t played_ns;                   /* when it was last advanced */
    uint64_t tell_ns;                     /* when a jump is to be told of that is not over by then; 0: there is none */
};

static bool is_played(const struct live *live)
{
    return live->config->recorded != NULL;
}

/* The present time by the clocks of what is watched. */
static uint64_t own_now_ns(const struct live *live)
{
    return is_played(live) ? player_now_ns(&live->player) : mesh_udp_now_ns();
}

static int64_t own_wall_ns(const struct live *live)
{
    return is_played(live) ? live->player.now_ns : feed_wall_ns();
}

static void save_snapshot(struct live *live)
{
    const time_t now = time(NULL);
    const uint64_t until_ns = is_played(live) ? UINT64_MAX : mesh_udp_now_ns() + NOTICE_MS * ms_ns;
    char name[64] = "mesh-monitor.json";
    struct tm local;
    uint64_t tick;
    FILE *file;

    live->ui.wants_save = false;
    if (!ui_tick(&live->ui, &live->fleet, &tick)) {
        ui_notice(&live->ui, until_ns, "nothing to save yet");
        return;
    }
    if (localtime_r(&now, &local) != NULL)
        strftime(name, sizeof name, "mesh-monitor-%Y%m%d-%H%M%S.json", &local);
    file = fopen(name, "wx");
    if (file != NULL)
        report_json(&live->fleet, tick, NULL, file);
    if (file == NULL || ferror(file) | fclose(file))
        ui_notice(&live->ui, until_ns, "%s: cannot be written: %s", name, strerror(errno));
    else
        ui_notice(&live->ui, until_ns, "saved as %s", name);
}

static void take_input(struct live *live)
{
    struct screen_input input;

    while ((input = screen_next()).event != SCREEN_NOTHING) {
        if (input.event == SCREEN_KEY)
            ui_key(&live->ui, &live->fleet, input.key);
        else if (input.event == SCREEN_CLICK || input.event == SCREEN_WHEEL)
            ui_mouse(&live->ui, &live->fleet, input.x, input.y, input.lines);
        live->next_draw_ns = 0;
    }
    if (live->ui.wants_save)
        save_snapshot(live);
    if (live->ui.wants_reset) {
        fleet_reset(&live->fleet);
        live->ui.wants_reset = false;
    }
}

/* Is there an interval in which all live nodes have reported? */
static bool is_ready(const struct fleet *fleet)
{
    int fresh = 0;

    for (int i = 0; fleet->ticks > 0 && i < fleet->node_end; i++) {
        const struct node_sample *sample = fleet->nodes[i].is_used ? fleet_node_at(fleet, i, fleet->ticks - 1) : NULL;

        if (sample == NULL)
            continue;
        if (fleet->nodes[i].state == FLEET_UP && !sample->is_fresh && !fleet_is_unrecorded(fleet, &fleet->nodes[i]))
            return false;
        fresh += sample->is_fresh;
    }
    return fresh > 0;
}

static uint32_t interval_ms(const struct live *live)
{
    return live->has_interval || live->ui.interval_ms < FIRST_INTERVAL_MS ? live->ui.interval_ms : FIRST_INTERVAL_MS;
}

static void let_time_pass(struct live *live, uint64_t now_ns)
{
    const uint64_t interval_ns = interval_ms(live) * ms_ns;

    if (interval_ns != live->asked_interval_ns)
        live->asked_ns = now_ns;
    live->asked_interval_ns = interval_ns;
    /* Until nodes have heard of a shorter interval, reports come at the one asked for before, and are not overdue. */
    if (interval_ns > live->fleet.interval_ns || live->fleet.heard_ns > live->asked_ns + interval_ns)
        live->fleet.interval_ns = interval_ns;
    if (now_ns < live->next_tick_ns && live->next_tick_ns - now_ns <= interval_ns)
        return;
    fleet_tick(&live->fleet, now_ns, feed_wall_ns());
    live->has_interval |= is_ready(&live->fleet);
    live->next_tick_ns = now_ns - live->next_tick_ns < interval_ns ? live->next_tick_ns + interval_ns : now_ns + interval_ns;
    live->next_draw_ns = 0;
}

static int draw(struct live *live, uint64_t now_ns, struct fail *fail)
{
    int width, height;

    if (now_ns < live->next_draw_ns)
        return 0;
    screen_size(&width, &height);
    if (width != live->canvas.width || height != live->canvas.height) {
        canvas_release(&live->canvas);
        if (canvas_init(&live->canvas, width, height, live->config->glyphs) < 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    view_draw(&live->canvas, &live->fleet, &live->ui, own_now_ns(live), own_wall_ns(live));
    screen_show(&live->canvas);
    live->next_draw_ns = now_ns + REDRAW_MS * ms_ns;
    return 0;
}

/* ---- a recording on a terminal ---- */

/* Going back is playing again from the beginning, which takes seconds where the recording has hours. */
static void tell_of_jump(void *app, double part)
{
    struct live *live = app;
    struct fail ignored;
    const uint64_t now_ns = mesh_udp_now_ns();

    if (live->tell_ns == 0 || now_ns < live->tell_ns)
        return;
    live->tell_ns = now_ns + PLAY_DRAW_MS * ms_ns;
    live->next_draw_ns = 0;
    live->ui.tick = live->fleet.ticks > 0 ? live->fleet.ticks - 1 : 0;
    ui_notice(&live->ui, UINT64_MAX, "playing from the beginning until there: %.0f %%", 100 * part);
    draw(live, now_ns, &ignored);
}

/* Carry out what keys asked for; then the recording's present position is shown. */
static int play_steps(struct live *live, struct fail *fail)
{
    struct playback *p = &live->ui.playback;
    int err;

    if (p->wants_begin || p->wants_tokens < 0)
        live->tell_ns = mesh_udp_now_ns() + TELL_MS * ms_ns;
    err = p->wants_begin ? player_rewind(&live->player, fail) : 0;

    for (int i = 0; i < p->wants_ticks && err == 0; i++)
        err = player_tick(&live->player, fail);
    if (p->wants_tokens != 0 && err == 0)
        err = player_step(&live->player, p->wants_tokens, fail);
    live->ui.tick = live->fleet.ticks > 0 ? live->fleet.ticks - 1 : 0;
    if (live->ui.notice_ns == UINT64_MAX)
        live->ui.notice_ns = 0;
    live->tell_ns = 0;
    p->wants_begin = false;
    p->wants_ticks = p->wants_tokens = 0;
    live->next_draw_ns = 0;
    return err;
}

static int play(struct live *live, uint64_t now_ns, struct fail *fail)
{
    struct playback *p = &live->ui.playback;
    struct player *player = &live->player;
    const uint64_t passed_ns = (uint64_t)((double)(now_ns - live->played_ns) * p->speed);

    live->played_ns = now_ns;
    if (live->ui.interval_ms * ms_ns != player->interval_ns)
        player_set_interval(player, live->ui.interval_ms * ms_ns);
    if ((p->wants_begin || p->wants_ticks > 0 || p->wants_tokens != 0) && play_steps(live, fail) < 0)
        return -1;
    if (!live->ui.is_paused && !player->is_over) {
        if (player_advance(player, passed_ns, fail) < 0)
            return -1;
        live->next_draw_ns = live->next_draw_ns < now_ns + PLAY_DRAW_MS * ms_ns ? live->next_draw_ns : now_ns + PLAY_DRAW_MS * ms_ns;
    }
    p->is_over = player->is_over;
    p->seconds = player_seconds(player);
    p->total = player_seconds_total(player);
    recorded_tokens(player->recorded, &p->tokens);
    p->token = player->token;
    return 0;
}

static int begin_playing(struct live *live, struct fail *fail)
{
    live->ui.playback.is_on = true;
    live->ui.playback.speed = live->config->speed;
    live->played_ns = mesh_udp_now_ns();
    if (player_open(&live->player, live->config->recorded, &live->fleet, live->ui.interval_ms * ms_ns, fail) < 0)
        return -1;
    live->player.tell = tell_of_jump;
    live->player.app = live;
    return 0;
}

/* ---- both ---- */

/* Take in what has arrived, or wait for a moment. */
static int watch(struct live *live, struct fail *fail)
{
    const struct timespec pause = {0, (long)(LOOK_MS * ms_ns)};

    if (is_played(live)) {
        nanosleep(&pause, NULL);
        return play(live, mesh_udp_now_ns(), fail);
    }
    if (feed_poll(live->feed, &live->fleet, interval_ms(live), LOOK_MS * ms_ns, fail) < 0)
        return -1;
    let_time_pass(live, mesh_udp_now_ns());
    return 0;
}

static int loop(struct live *live, struct fail *fail)
{
    while (!live->ui.is_over && !is_interrupted) {
        if (draw(live, mesh_udp_now_ns(), fail) < 0 || watch(live, fail) < 0)
            return -1;
        take_input(live);
    }
    return 0;
}

int live_run(const struct live_config *config, struct feed *feed, struct fail *fail)
{
    const struct screen_config screen = {config->no_colour, config->no_mouse};
    struct live live = {.config = config, .feed = feed};
    struct settings settings = config->settings;
    int result = -1;

    if (fleet_init(&live.fleet) < 0 || canvas_init(&live.canvas, 0, 0, config->glyphs) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    ui_init(&live.ui, &config->settings);
    live.ui.is_read_only = config->is_read_only;
    catch_signals();
    if (!is_played(&live))
        snprintf(live.fleet.connection, sizeof live.fleet.connection, "calling %.200s", feed->config.address);
    if ((!is_played(&live) || begin_playing(&live, fail) == 0) && screen_open(&screen, fail) == 0) {
        result = loop(&live, fail);
        screen_close();
    }
    ui_settings(&live.ui, &settings);
    if (result == 0 && config->settings_path != NULL)
        result = settings_save(&settings, config->settings_path, fail);
    canvas_release(&live.canvas);
    fleet_release(&live.fleet);
    return result;
}

/* ---- batch ---- */

static int print(const struct live_config *config, const struct fleet *fleet, struct ui *ui, struct report_cursor *cursor,
                 struct fail *fail)
{
    const char *columns = getenv("COLUMNS");
    const long width = columns != NULL ? strtol(columns, NULL, 10) : 0;

    if (config->json)
        report_json(fleet, fleet->ticks - 1, cursor, stdout);
    else if (report_text(fleet, ui, cursor, width >= 40 && width <= CANVAS_WIDTH_MAX ? (int)width : TEXT_COLUMNS, config->glyphs, stdout) <
             0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    return standard_streams_flush(fail);
}

static int batch(const struct live_config *config, struct feed *feed, struct fleet *fleet, struct ui *ui, struct fail *fail)
{
    const uint64_t interval_ns = config->settings.interval_ms * ms_ns, begin_ns = mesh_udp_now_ns();
    uint64_t next_ns = begin_ns + interval_ns;
    struct report_cursor cursor = {0};
    uint32_t printed = 0;

    fleet->interval_ns = interval_ns;
    feed->open_timeout_ms = BATCH_TIMEOUT_MS;
    while (!is_interrupted && (config->iterations == 0 || printed < config->iterations)) {
        uint64_t now_ns = mesh_udp_now_ns();

        if (feed_poll(feed, fleet, config->settings.interval_ms, next_ns > now_ns ? next_ns - now_ns : 0, fail) < 0)
            return -1;
        now_ns = mesh_udp_now_ns();
        if (!fleet->is_connected && fleet->ticks == 0 && now_ns - begin_ns >= BATCH_TIMEOUT_MS * ms_ns)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.400s", fleet->connection);
        if (now_ns < next_ns)
            continue;
        next_ns += interval_ns;
        next_ns = next_ns > now_ns ? next_ns : now_ns + interval_ns;
        fleet_tick(fleet, now_ns, feed_wall_ns());
        if (printed == 0 && !is_ready(fleet) && now_ns - begin_ns < BATCH_TIMEOUT_MS * ms_ns + 4 * interval_ns)
            continue;
        if (fleet->ticks > 0 && print(config, fleet, ui, &cursor, fail) < 0)
            return -1;
        printed += fleet->ticks > 0;
    }
    return 0;
}

/* The same for a recording, in its own time, as fast as possible. */
static int batch_recorded(const struct live_config *config, struct fleet *fleet, struct ui *ui, struct fail *fail)
{
    struct report_cursor cursor = {0};
    struct player player;
    uint32_t printed = 0;

    if (player_open(&player, config->recorded, fleet, config->settings.interval_ms * ms_ns, fail) < 0)
        return -1;
    while (!is_interrupted && !player.is_over && (config->iterations == 0 || printed < config->iterations)) {
        if (player_tick(&player, fail) < 0)
            return -1;
        if (printed == 0 && !is_ready(fleet) && !player.is_over)
            continue;
        if (print(config, fleet, ui, &cursor, fail) < 0)
            return -1;
        printed++;
    }
    return 0;
}

int live_batch(const struct live_config *config, struct feed *feed, struct fail *fail)
{
    struct fleet fleet;
    struct ui ui;
    int result;

    if (fleet_init(&fleet) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    ui_init(&ui, &config->settings);
    catch_signals();
    result = config->recorded != NULL ? batch_recorded(config, &fleet, &ui, fail) : batch(config, feed, &fleet, &ui, fail);
    fleet_release(&fleet);
    return result;
}
