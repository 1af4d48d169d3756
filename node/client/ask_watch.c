#include "ask_watch.h"

#include "mesh/udp.h"

#define MS_NS UINT64_C(1000000)

enum {
    OFTEN_MS = MESH_TELEMETRY_INTERVAL_MS_MIN, /* between reports that are waited for */
    SELDOM_MS = 1000,
    LEASE_MS = 60000,
    RENEW_MS = 15000,
    WAIT_MS = 500,       /* for reports of all nodes */
    WAIT_FIRST_MS = 5000 /* for any: a refusal that comes after the question would be taken for one of the question */
};

int ask_watch_run(struct ask_watch *w, struct mesh_client *client, struct fail *fail)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    const struct mesh_telemetry_watch wish = {
        .interval_ms = ask_figures_are_there(&w->figures) ? SELDOM_MS : OFTEN_MS,
        .lease_ms = LEASE_MS,
        .kinds = 1u << MESH_TELEMETRY_NODE | 1u << MESH_TELEMETRY_LINK,
    };
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];

    if (!w->is_on || (wish.interval_ms == w->interval_ms && now_ns - w->wished_ns < RENEW_MS * MS_NS))
        return 0;
    w->interval_ms = wish.interval_ms;
    w->wished_ns = now_ns;
    mesh_telemetry_write_watch(&wish, record);
    return client_session_send(client, record, sizeof record, fail);
}

/* Until there is a report of each node in this part. */
static int wait_for_reports(struct ask_watch *w, struct mesh_client *client, struct fail *fail)
{
    const uint64_t start_ns = mesh_udp_now_ns();

    while (w->is_on && !ask_figures_are_there(&w->figures)) {
        const uint64_t end_ns = start_ns + (w->figures.count > 0 ? WAIT_MS : WAIT_FIRST_MS) * MS_NS;
        const uint64_t now_ns = mesh_udp_now_ns();
        const uint8_t *record;
        size_t bytes;
        int got;

        if (now_ns >= end_ns)
            break;
        if (ask_watch_run(w, client, fail) < 0)
            return -1;
        got = client_session_receive(client, &record, &bytes, end_ns - now_ns, fail);
        if (got < 0)
            return -1;
        if (got > 0 && !ask_figures_take(&w->figures, record, bytes))
            w->is_on = false; /* a refusal */
    }
    return 0;
}

int ask_watch_begin(struct ask_watch *w, struct mesh_client *client, struct fail *fail)
{
    w->is_on = true;
    return wait_for_reports(w, client, fail);
}

void ask_watch_generates(struct ask_watch *w)
{
    w->figures.part = ASK_GENERATES;
}

void ask_watch_end(struct ask_watch *w, struct mesh_client *client)
{
    struct fail ignored = {0}; /* the answer is there, whatever becomes of the session */

    w->figures.part = ASK_IS_OVER;
    wait_for_reports(w, client, &ignored);
}
