#include "watch.h"

#include <stddef.h>
#include <string.h>

#define MS_NS UINT64_C(1000000)

enum {
    LOOK_MS = 1000, /* between two LOOKs; the lease is longer, so that one may be lost */
    LOOK_LEASE_MS = 3500,
    LOOK_NO_MORE_MS = 1,
    LOOKS_FOR_OLD = 3 /* a LOOK or its answer may be lost */
};

void watch_init(struct watch *w, const uint8_t incarnation[16], const struct watch_hooks *hooks)
{
    memset(w, 0, sizeof *w);
    w->hooks = *hooks;
    memcpy(w->incarnation, incarnation, sizeof w->incarnation);
}

void watch_hurry(struct watch *w, uint64_t now_ns)
{
    const uint64_t soon_ns = now_ns + MESH_TELEMETRY_INTERVAL_MS_MIN * MS_NS; /* but not more often than that */

    if (w->report_at_ns > soon_ns)
        w->report_at_ns = soon_ns;
}

/* The next report is due by then at the latest: a watcher wants it more often than before. */
static void report_by(struct watch *w, uint64_t at_ns)
{
    if (w->report_at_ns > at_ns)
        w->report_at_ns = at_ns;
}

/* ---- who watches ---- */

static bool is_active(const struct watcher *watcher, uint64_t now_ns)
{
    return watcher->session != 0 && now_ns < watcher->until_ns;
}

/* The combination of wishes: the shortest interval and all kinds. */
struct wish {
    uint64_t interval_ns; /* 0: there is no wish */
    uint32_t kinds;
};

static void add_wish(struct wish *wish, uint64_t interval_ns, uint32_t kinds)
{
    if (wish->interval_ns == 0 || interval_ns < wish->interval_ns)
        wish->interval_ns = interval_ns;
    wish->kinds |= kinds;
}

static struct wish wish_of_clients(const struct watch *w, uint64_t now_ns)
{
    struct wish wish = {0};

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        if (is_active(&w->watcher[i], now_ns))
            add_wish(&wish, w->watcher[i].interval_ns, w->watcher[i].kinds);
    return wish;
}

static struct wish wish_of_all(const struct watch *w, uint64_t now_ns)
{
    struct wish wish = wish_of_clients(w, now_ns);

    if (w->own_ns > 0)
        add_wish(&wish, w->own_ns, MESH_TELEMETRY_ALL);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        if (now_ns < w->looker[i].until_ns)
            add_wish(&wish, w->looker[i].interval_ns, w->looker[i].kinds);
    return wish;
}

static struct watcher *find_watcher(struct watch *w, uint32_t session, uint64_t now_ns)
{
    struct watcher *room = NULL;

    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        if (w->watcher[i].session == session)
            return &w->watcher[i];
        if (room == NULL && !is_active(&w->watcher[i], now_ns))
            room = &w->watcher[i];
    }
    if (room != NULL)
        *room = (struct watcher){.session = session};
    return room;
}

/* ---- looking at others ---- */

static void look_at_others(struct watch *w, const struct wish *wish, uint16_t lease_ms)
{
    const uint32_t old = w->looks_for_old > 0 ? MESH_TELEMETRY_OLD_EVENTS : 0;

    for (uint16_t r = 0; r < w->count; r++) {
        struct mesh_message message = {.header.type = MESH_TYPE_LOOK};

        if (r == w->rank)
            continue;
        message.as.look.interval_ms = (uint16_t)(wish->interval_ns / MS_NS);
        message.as.look.lease_ms = lease_ms;
        message.as.look.kinds = wish->kinds | old;
        w->hooks.to_member(w->hooks.app, &w->member[r].addr, &message);
    }
    w->looks_for_old -= w->looks_for_old > 0;
}

/* A report that was due after the longer, old interval is due after the new one. */
static void shorten(struct watch *w, struct watcher *watcher, uint64_t now_ns, uint64_t interval_ns)
{
    report_by(w, now_ns + interval_ns);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        if (watcher->next_ns[i] > now_ns + interval_ns)
            watcher->next_ns[i] = now_ns + interval_ns;
    w->look_at_ns = 0;
}

enum watch_verdict watch_take_record(struct watch *w, uint64_t now_ns, uint32_t session, const uint8_t *record, size_t bytes,
                                     const char **refusal)
{
    struct mesh_telemetry_watch wish;
    struct watcher *watcher;
    const int err = mesh_telemetry_read_watch(&wish, record, bytes);

    if (err == MESH_ETYPE)
        return WATCH_NOT_OURS;
    watcher = err == MESH_OK ? find_watcher(w, session, now_ns) : NULL;
    if (watcher == NULL) {
        *refusal = err != MESH_OK ? "this node does not understand this request for telemetry: are both of the same version?"
                                  : "this node is watched by as many clients as it takes: ask another node";
        w->refused++;
        return WATCH_REFUSED;
    }
    if (!is_active(watcher, now_ns)) {
        watch_hurry(w, now_ns);
        w->look_at_ns = 0;
        w->looks_for_old = LOOKS_FOR_OLD;
        w->tells_all_events = true;
    } else if (wish.interval_ms * MS_NS < watcher->interval_ns) {
        shorten(w, watcher, now_ns, wish.interval_ms * MS_NS);
    }
    watcher->kinds = wish.kinds;
    watcher->interval_ns = wish.interval_ms * MS_NS;
    watcher->until_ns = now_ns + wish.lease_ms * MS_NS;
    if (wish.lease_ms == 0)
        watch_drop(w, now_ns, session);
    return WATCH_TAKEN;
}

void watch_drop(struct watch *w, uint64_t now_ns, uint32_t session)
{
    const struct wish no_more = {MESH_TELEMETRY_INTERVAL_MS_MIN * MS_NS, 0};
    bool was_watching = false;

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        if (w->watcher[i].session == session) {
            w->watcher[i].session = 0;
            was_watching = true;
        }
    /* When nobody watches here any more, other members need not go on until their leases end. */
    if (was_watching && wish_of_clients(w, now_ns).interval_ns == 0)
        look_at_others(w, &no_more, LOOK_NO_MORE_MS);
}

/* ---- being looked at ---- */

/* The rank of the member that a datagram claims as its sender, and whose address it comes from; MESH_TELEMETRY_NOBODY: none. */
static uint16_t rank_of(const struct watch *w, const uint8_t *incarnation, const struct mesh_addr *from)
{
    for (uint16_t r = 0; r < w->count; r++) {
        const struct mesh_cluster_member *member = &w->member[r];

        if (r != w->rank && memcmp(member->incarnation, incarnation, sizeof member->incarnation) == 0)
            return mesh_addr_equal(&member->addr, from) ? r : MESH_TELEMETRY_NOBODY;
    }
    return MESH_TELEMETRY_NOBODY;
}

/* A LOOK whose number is not above the last one's is ignored: it is late, or replayed from what the member sent to another one. */
static void take_look(struct watch *w, uint64_t now_ns, uint16_t rank, const struct mesh_addr *from, const struct mesh_message *message)
{
    const struct mesh_look *look = &message->as.look;
    struct looker *looker = &w->looker[rank];
    const bool is_new = now_ns >= looker->until_ns;

    if (message->header.number <= w->mark[rank].look)
        return;
    w->mark[rank].look = message->header.number;
    if (is_new)
        watch_hurry(w, now_ns);
    else if (look->interval_ms * MS_NS < looker->interval_ns)
        report_by(w, now_ns + look->interval_ms * MS_NS);
    w->tells_all_events |= is_new || (look->kinds & MESH_TELEMETRY_OLD_EVENTS) != 0;
    looker->addr = *from;
    looker->kinds = look->kinds;
    looker->interval_ns = look->interval_ms * MS_NS;
    looker->until_ns = now_ns + look->lease_ms * MS_NS;
}

/* ---- reports ---- */

/* Is that a newer report than the one that the watcher is being sent? A reordered datagram brings an older one. */
static bool is_newer(uint32_t serial, uint32_t than)
{
    return than == 0 || (int32_t)(serial - than) > 0;
}

/* Send to a client, unless it has had enough of that member for now, or its queue is full. */
static void forward_to(struct watch *w, struct watcher *watcher, uint64_t now_ns, uint16_t rank, uint32_t serial,
                       const struct mesh_telemetry_report *report)
{
    uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];

    if (serial != watcher->serial[rank]) {
        if (!is_newer(serial, watcher->serial[rank]) || now_ns + watcher->interval_ns / 4 < watcher->next_ns[rank])
            return;
        watcher->serial[rank] = serial;
        watcher->next_ns[rank] = now_ns + watcher->interval_ns;
    }
    w->forwarded += w->hooks.to_client(w->hooks.app, watcher->session, record, mesh_telemetry_write_report(report, record));
}

static void forward(struct watch *w, uint64_t now_ns, uint64_t unix_ms, uint16_t rank, uint32_t serial, const uint8_t *piece, size_t bytes)
{
    const struct mesh_telemetry_report report = {.now_ns = now_ns, .unix_ms = unix_ms, .piece = piece, .piece_bytes = bytes};

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        if (is_active(&w->watcher[i], now_ns))
            forward_to(w, &w->watcher[i], now_ns, rank, serial, &report);
}

/* A piece of another member: forwarded only if it is about that member, and well formed. */
static bool take_report(struct watch *w, uint64_t now_ns, uint64_t unix_ms, uint16_t rank, const struct mesh_message *message)
{
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;

    if (message->data_bytes > MESH_TELEMETRY_PIECE_BYTES_MAX || mesh_telemetry_check(message->data, message->data_bytes) != MESH_OK ||
        mesh_telemetry_open(&reader, message->data, message->data_bytes, &head) != MESH_OK ||
        memcmp(head.incarnation, message->as.report.incarnation, sizeof head.incarnation) != 0)
        return false;
    if (head.serial != w->mark[rank].serial && !is_newer(head.serial, w->mark[rank].serial))
        return true;
    w->mark[rank].serial = head.serial;
    forward(w, now_ns, unix_ms, rank, head.serial, message->data, message->data_bytes);
    return true;
}

enum watch_verdict watch_take_packet(struct watch *w, uint64_t now_ns, uint64_t unix_ms, const struct mesh_addr *from,
                                     const uint8_t *packet, size_t bytes)
{
    const size_t type_at = offsetof(struct mesh_header_bytes, type);
    const uint8_t type = bytes > type_at ? packet[type_at] : 0;
    struct mesh_message message;
    bool is_good = false;
    uint16_t rank;

    if (type != MESH_TYPE_LOOK && type != MESH_TYPE_REPORT)
        return WATCH_NOT_OURS;
    if (mesh_wire_decode(packet, bytes, &message) == MESH_OK &&
        (rank = rank_of(w, message.as.report.incarnation, from)) != MESH_TELEMETRY_NOBODY) {
        is_good = type == MESH_TYPE_LOOK || take_report(w, now_ns, unix_ms, rank, &message);
        if (type == MESH_TYPE_LOOK)
            take_look(w, now_ns, rank, from, &message);
    }
    w->refused += !is_good;
    return is_good ? WATCH_TAKEN : WATCH_REFUSED;
}

void watch_give(struct watch *w, uint64_t now_ns, uint64_t unix_ms, const struct mesh_telemetry_head *head, const uint8_t *piece,
                size_t bytes)
{
    w->pieces++;
    forward(w, now_ns, unix_ms, w->rank, head->serial, piece, bytes); /* its own reports have no rank while memory is missing */
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++) {
        struct mesh_message message = {.header.type = MESH_TYPE_REPORT, .data = piece, .data_bytes = bytes};

        if (now_ns < w->looker[i].until_ns)
            w->hooks.to_member(w->hooks.app, &w->looker[i].addr, &message);
    }
}

/* ---- when ---- */

bool watch_has(const struct watch *w, uint64_t now_ns, uint32_t session)
{
    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        if (w->watcher[i].session == session && is_active(&w->watcher[i], now_ns))
            return true;
    return false;
}

unsigned watch_count(const struct watch *w, uint64_t now_ns)
{
    unsigned count = 0;

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        count += is_active(&w->watcher[i], now_ns);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        count += now_ns < w->looker[i].until_ns;
    return count;
}

void watch_run(struct watch *w, uint64_t now_ns)
{
    struct wish wish;

    if (now_ns >= w->look_at_ns && (wish = wish_of_clients(w, now_ns)).interval_ns > 0) {
        look_at_others(w, &wish, LOOK_LEASE_MS);
        w->look_at_ns = now_ns + LOOK_MS * MS_NS;
    }
    if (now_ns < w->report_at_ns || (wish = wish_of_all(w, now_ns)).interval_ns == 0)
        return;
    w->report_at_ns = now_ns + wish.interval_ns;
    w->hooks.report(w->hooks.app, wish.kinds);
}

void watch_report_last(struct watch *w, uint64_t now_ns)
{
    const struct wish wish = wish_of_all(w, now_ns);

    if (wish.interval_ns == 0)
        return;
    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        w->watcher[i].next_ns[w->rank] = 0;
    w->report_at_ns = now_ns + wish.interval_ns;
    w->hooks.report(w->hooks.app, wish.kinds);
}

uint64_t watch_due_ns(const struct watch *w, uint64_t now_ns)
{
    uint64_t due_ns = UINT64_MAX;

    if (wish_of_all(w, now_ns).interval_ns > 0)
        due_ns = w->report_at_ns;
    if (w->look_at_ns < due_ns && wish_of_clients(w, now_ns).interval_ns > 0)
        due_ns = w->look_at_ns;
    return due_ns;
}

/* ---- another epoch ---- */

/* The rank of a process in a list of members; count: it is not there. */
static uint16_t place_of(const uint8_t incarnation[16], const struct mesh_cluster_member *member, uint16_t count)
{
    uint16_t r = 0;

    while (r < count && memcmp(member[r].incarnation, incarnation, sizeof member->incarnation) != 0)
        r++;
    return r;
}

/* What has come from a process that was a member before, not necessarily in the last epoch; it is no former member any more. */
static struct watch_mark recall(struct watch *w, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < WATCH_FORMER_MAX; i++)
        if (w->former[i].left != 0 && memcmp(w->former[i].incarnation, incarnation, sizeof w->former[i].incarnation) == 0) {
            w->former[i].left = 0;
            return w->former[i].mark;
        }
    return (struct watch_mark){0};
}

/* Where all places are taken, the process that left before all others is forgotten. */
static void remember(struct watch *w, const uint8_t incarnation[16], const struct watch_mark *mark)
{
    struct watch_former *former = &w->former[0];

    for (unsigned i = 1; i < WATCH_FORMER_MAX; i++)
        if (w->former[i].left < former->left)
            former = &w->former[i];
    former->left = ++w->leavings;
    memcpy(former->incarnation, incarnation, sizeof former->incarnation);
    former->mark = *mark;
}

/* Remember what has come from each process, though ranks change, and though it is no member for a time: what is older may still arrive. */
static void keep_marks(struct watch *w, const struct mesh_cluster_member *member, uint16_t count)
{
    struct watch_mark mark[MESH_RANKS_MAX] = {0};

    for (uint16_t now = 0; now < count; now++) {
        const uint16_t before = place_of(member[now].incarnation, w->member, w->count);

        mark[now] = before < w->count ? w->mark[before] : recall(w, member[now].incarnation);
    }
    for (uint16_t before = 0; before < w->count; before++)
        if (place_of(w->member[before].incarnation, member, count) == count && (w->mark[before].serial != 0 || w->mark[before].look != 0))
            remember(w, w->member[before].incarnation, &w->mark[before]);
    memcpy(w->mark, mark, sizeof mark);
}

/* Which report of each member a watcher is being sent. One that is a member again goes on where it was left. */
static void keep_serials(const struct watch *w, struct watcher *watcher, const struct mesh_cluster_member *member, uint16_t count)
{
    uint32_t serial[MESH_RANKS_MAX] = {0};

    for (uint16_t now = 0; now < count; now++) {
        const uint16_t before = place_of(member[now].incarnation, w->member, w->count);

        serial[now] = before < w->count ? watcher->serial[before] : w->mark[now].serial;
    }
    memcpy(watcher->serial, serial, sizeof serial);
    memset(watcher->next_ns, 0, sizeof watcher->next_ns);
}

void watch_epoch(struct watch *w, const struct mesh_cluster_member *member, uint16_t count, uint16_t rank)
{
    keep_marks(w, member, count);
    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        keep_serials(w, &w->watcher[i], member, count);
    memset(w->looker, 0, sizeof w->looker); /* a member that still looks says so within a second */
    if (count > 0)
        memcpy(w->member, member, count * sizeof *member);
    w->count = count;
    w->rank = rank;
    w->look_at_ns = 0;
    w->looks_for_old = LOOKS_FOR_OLD; /* of new members */
}
