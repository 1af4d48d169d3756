#include "live.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "screen.h"
#include "view.h"

static const uint64_t ms_ns = 1000000;
enum { LOOK_MS = 25, REDRAW_MS = 1000, NOTICE_MS = 4000, BATCH_PATIENCE_MS = 5000, TEXT_COLUMNS = 120 };

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
};

static void save_snapshot(struct live *live)
{
    const time_t now = time(NULL);
    const uint64_t until_ns = mesh_udp_now_ns() + NOTICE_MS * ms_ns;
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
        report_json(&live->fleet, tick, true, file);
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

static void let_time_pass(struct live *live, uint64_t now_ns)
{
    const uint64_t interval_ns = live->ui.interval_ms * ms_ns;

    live->fleet.interval_ns = interval_ns;
    if (now_ns < live->next_tick_ns && live->next_tick_ns - now_ns <= interval_ns)
        return;
    fleet_tick(&live->fleet, now_ns, feed_wall_ns());
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
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: end other programs");
    }
    view_draw(&live->canvas, &live->fleet, &live->ui, now_ns, feed_wall_ns());
    screen_show(&live->canvas);
    live->next_draw_ns = now_ns + REDRAW_MS * ms_ns;
    return 0;
}

static int loop(struct live *live, struct fail *fail)
{
    while (!live->ui.is_over && !is_interrupted) {
        uint64_t now_ns;

        if (draw(live, mesh_udp_now_ns(), fail) < 0)
            return -1;
        if (feed_poll(live->feed, &live->fleet, live->ui.interval_ms, LOOK_MS * ms_ns, fail) < 0)
            return -1;
        now_ns = mesh_udp_now_ns();
        let_time_pass(live, now_ns);
        take_input(live);
    }
    return 0;
}

int live_run(const struct live_config *config, struct feed *feed, struct fail *fail)
{
    const struct screen_config screen = {config->settings.no_colour, config->settings.no_mouse};
    struct live live = {.config = config, .feed = feed};
    struct settings settings = config->settings;
    int result = -1;

    if (fleet_init(&live.fleet) < 0 || canvas_init(&live.canvas, 0, 0, config->glyphs) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: end other programs");
    ui_init(&live.ui, &config->settings);
    live.ui.is_read_only = config->is_read_only;
    catch_signals();
    if (screen_open(&screen, fail) == 0) {
        snprintf(live.fleet.connection, sizeof live.fleet.connection, "calling %.200s", feed->config.address);
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

/* Is there an interval in which all that live have reported? */
static bool is_ready(const struct fleet *fleet)
{
    int fresh = 0;

    for (int i = 0; fleet->ticks > 0 && i < fleet->node_end; i++) {
        const struct node_sample *sample = fleet->nodes[i].is_used ? fleet_node_at(fleet, i, fleet->ticks - 1) : NULL;

        if (sample == NULL)
            continue;
        if (fleet->nodes[i].state == FLEET_UP && !sample->is_fresh)
            return false;
        fresh += sample->is_fresh;
    }
    return fresh > 0;
}

static int print(const struct live_config *config, const struct fleet *fleet, struct ui *ui, struct fail *fail)
{
    const char *columns = getenv("COLUMNS");
    const long width = columns != NULL ? strtol(columns, NULL, 10) : 0;

    if (config->json)
        report_json(fleet, fleet->ticks - 1, false, stdout);
    else if (report_text(fleet, ui, width >= 40 && width <= CANVAS_WIDTH_MAX ? (int)width : TEXT_COLUMNS, config->glyphs, stdout) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: end other programs");
    if (fflush(stdout) != 0 || ferror(stdout))
        return fail_set(fail, EXIT_ENVIRONMENT, "stdout: cannot write: %s: free some space, or read to the end", strerror(errno));
    return 0;
}

static int batch(const struct live_config *config, struct feed *feed, struct fleet *fleet, struct ui *ui, struct fail *fail)
{
    const uint64_t interval_ns = config->settings.interval_ms * ms_ns, begin_ns = mesh_udp_now_ns();
    uint64_t next_ns = begin_ns + interval_ns;
    uint32_t printed = 0;

    fleet->interval_ns = interval_ns;
    feed->patience_ms = BATCH_PATIENCE_MS;
    while (!is_interrupted && (config->iterations == 0 || printed < config->iterations)) {
        uint64_t now_ns = mesh_udp_now_ns();

        if (feed_poll(feed, fleet, config->settings.interval_ms, next_ns > now_ns ? next_ns - now_ns : 0, fail) < 0)
            return -1;
        now_ns = mesh_udp_now_ns();
        if (!fleet->is_connected && fleet->ticks == 0 && now_ns - begin_ns >= BATCH_PATIENCE_MS * ms_ns)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.400s", fleet->connection);
        if (now_ns < next_ns)
            continue;
        next_ns += interval_ns;
        next_ns = next_ns > now_ns ? next_ns : now_ns + interval_ns;
        fleet_tick(fleet, now_ns, feed_wall_ns());
        if (printed == 0 && !is_ready(fleet) && now_ns - begin_ns < BATCH_PATIENCE_MS * ms_ns + 4 * interval_ns)
            continue;
        if (fleet->ticks > 0 && print(config, fleet, ui, fail) < 0)
            return -1;
        printed += fleet->ticks > 0;
    }
    return 0;
}

int live_batch(const struct live_config *config, struct feed *feed, struct fail *fail)
{
    struct fleet fleet;
    struct ui ui;
    int result;

    if (fleet_init(&fleet) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: end other programs");
    ui_init(&ui, &config->settings);
    catch_signals();
    result = batch(config, feed, &fleet, &ui, fail);
    fleet_release(&fleet);
    return result;
}
