#include "feed.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const uint64_t ms_ns = 1000000;
enum { RECORD_REFUSED = 19, RECORDS_AT_ONCE = 2000, SILENT_MS = 2000 };

int64_t feed_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void feed_init(struct feed *feed, const struct mesh_client_config *config)
{
    *feed = (struct feed){.config = *config};
    if (config->key != NULL)
        feed->key = *config->key;
    feed->config.key = &feed->key;
}

void feed_close(struct feed *feed)
{
    mesh_client_close(feed->client);
    feed->client = NULL;
    mesh_wipe(&feed->key, sizeof feed->key);
}

/* The address that was asked for; while it does not answer, every other try goes to a member it told of, except the one tried last. */
static const char *whom_to_try(struct feed *feed, const struct fleet *fleet)
{
    int nodes[FLEET_NODES_MAX], others = 0;
    const int count = fleet_order(fleet, nodes);

    for (int i = 0; i < count; i++)
        if (fleet_is_alive(fleet->nodes[nodes[i]].state) && strcmp(fleet->nodes[nodes[i]].address, feed->at) != 0)
            nodes[others++] = nodes[i];
    snprintf(feed->at, sizeof feed->at, "%.*s", (int)sizeof feed->at - 1,
             feed->tries % 2 == 1 && others > 0 ? fleet->nodes[nodes[feed->tries / 2 % others]].address : feed->config.address);
    return feed->at;
}

/* A cluster that was started anew may have another key in the same file. A file that cannot be read now, or holds no key, changes
 * nothing. */
static void read_key_again(struct feed *feed)
{
    struct mesh_key key;
    char reason[300];

    if (feed->config.key_file != NULL && mesh_key_read(feed->config.key_file, &key, reason, sizeof reason) == MESH_OK) {
        feed->key = key;
        mesh_wipe(&key, sizeof key);
    }
}

static int open_session(struct feed *feed, struct fleet *fleet, uint64_t now_ns, struct fail *fail)
{
    struct mesh_client_config config = feed->config;
    struct mesh_client_error why;

    if (feed->tries > 0)
        read_key_again(feed);
    config.address = whom_to_try(feed, fleet);
    config.timeout_ns = (feed->tries == 0 && feed->open_timeout_ms > 0 ? feed->open_timeout_ms : FEED_OPEN_MS) * ms_ns;
    feed->open_timeout_ms = 0;
    feed->client = mesh_client_open(&config, &why);
    if (feed->client != NULL) {
        feed->tries = 0;
        feed->next_watch_ns = 0;
        feed->asked_ns = mesh_udp_now_ns();
        fleet_set_connected(fleet, mesh_udp_now_ns(), feed_wall_ns(), true, config.address);
        return 0;
    }
    if (why.err == MESH_EINVAL && config.address != NULL && strcmp(config.address, feed->config.address) == 0)
        return fail_set(fail, EXIT_USAGE, "--to %.300s", why.text);
    fleet_set_connected(fleet, now_ns, feed_wall_ns(), false, why.text);
    feed->tries++;
    feed->next_try_ns = mesh_udp_now_ns() + FEED_RETRY_MS * ms_ns;
    return 0;
}

static void lose(struct feed *feed, struct fleet *fleet, const char *why)
{
    mesh_client_close(feed->client);
    feed->client = NULL;
    feed->tries = fleet->ticks > 0; /* another member first */
    feed->next_try_ns = 0;
    fleet_set_connected(fleet, mesh_udp_now_ns(), feed_wall_ns(), false, why);
}

/* Subscribe, or renew the subscription. */
static int watch(struct feed *feed, uint32_t interval_ms, uint64_t now_ns, struct mesh_client_error *why)
{
    const uint32_t most = MESH_TELEMETRY_INTERVAL_MS_MAX, least = MESH_TELEMETRY_INTERVAL_MS_MIN;
    const struct mesh_telemetry_watch wish = {
        .interval_ms = (uint16_t)(interval_ms < least  ? least
                                  : interval_ms > most ? most
                                                       : interval_ms),
        .lease_ms = FEED_LEASE_MS,
        .kinds = MESH_TELEMETRY_ALL,
    };
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];

    if (now_ns < feed->next_watch_ns && interval_ms == feed->interval_ms)
        return 0;
    if (interval_ms != feed->interval_ms)
        feed->asked_ns = now_ns;
    feed->interval_ms = interval_ms;
    feed->next_watch_ns = now_ns + FEED_LEASE_MS / 3 * ms_ns;
    mesh_telemetry_write_watch(&wish, record);
    return mesh_client_send(feed->client, record, sizeof record, why);
}

/* Has no report come for so long that the node counts as silent, well before its session ends? */
static bool is_silent(const struct feed *feed, const struct fleet *fleet, uint64_t now_ns)
{
    const uint64_t timeout_ns = 2 * feed->interval_ms * ms_ns + SILENT_MS * ms_ns;

    return now_ns > feed->asked_ns + timeout_ns && now_ns > fleet->heard_ns + timeout_ns;
}

/* A node that refuses telemetry gives the reason in words: u8 19, u32 bytes, text. */
static bool is_refusal(const uint8_t *record, size_t bytes, char *text, size_t text_size)
{
    if (bytes < 5 || record[0] != RECORD_REFUSED)
        return false;
    snprintf(text, text_size, "%.*s", (int)(bytes - 5 < text_size ? bytes - 5 : text_size - 1), (const char *)record + 5);
    return true;
}

int feed_poll(struct feed *feed, struct fleet *fleet, uint32_t interval_ms, uint64_t wait_ns, struct fail *fail)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    struct mesh_client_error why = {0};
    const uint8_t *record;
    size_t bytes;
    int got;

    if (feed->client == NULL) {
        if (now_ns >= feed->next_try_ns)
            return open_session(feed, fleet, now_ns, fail);
        const struct timespec pause = {0, (long)(wait_ns < 999999999 ? wait_ns : 999999999)};
        nanosleep(&pause, NULL);
        return 0;
    }
    if (watch(feed, interval_ms, now_ns, &why) < 0) {
        lose(feed, fleet, why.text);
        return 0;
    }
    for (int i = 0; i < RECORDS_AT_ONCE; i++) {
        got = mesh_client_receive(feed->client, &record, &bytes, i == 0 ? wait_ns : 0, &why);
        if (got < 0) {
            lose(feed, fleet, why.text);
            return 0;
        }
        if (got == 0 && is_silent(feed, fleet, mesh_udp_now_ns())) {
            snprintf(why.text, sizeof why.text, "no more reports from %.200s", fleet->connection);
            lose(feed, fleet, why.text);
        }
        if (got == 0)
            return 0;
        if (is_refusal(record, bytes, why.text, sizeof why.text)) {
            lose(feed, fleet, why.text);
            feed->next_try_ns = now_ns + 10 * FEED_RETRY_MS * ms_ns;
            return 0;
        }
        fleet_report(fleet, mesh_udp_now_ns(), feed_wall_ns(), record, bytes);
    }
    return 0;
}
