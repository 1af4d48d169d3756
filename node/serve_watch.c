#include "serve_watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mesh/wire.h"
#include "serve_state.h"

#define MS_NS UINT64_C(1000000)

enum {
    LOOK_MS = 1000, /* between two LOOKs; the lease is longer, so that one may be lost */
    LOOK_LEASE_MS = 3500,
    LOOK_NO_MORE_MS = 1,
    RECORD_MS = 1000 /* between two reports that are recorded */
};

/* ---- events ---- */

static uint64_t unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The next report soon, but not more often than that. */
static void hurry(struct watching *w, uint64_t now_ns)
{
    const uint64_t soon_ns = now_ns + MESH_TELEMETRY_INTERVAL_MS_MIN * MS_NS;

    if (w->report_at_ns > soon_ns)
        w->report_at_ns = soon_ns;
}

void serve_note(struct server *server, enum mesh_happening happened, uint16_t rank, const struct mesh_addr *addr, const char *format, ...)
{
    struct mesh_telemetry_event event = {
        .happened = (uint8_t)happened,
        .when_ns = mesh_udp_now_ns(),
        .unix_ms = unix_ms(),
        .epoch = server->shift != NULL ? server->shift->number : 0,
        .rank = rank,
    };
    char text[MESH_TELEMETRY_TEXT_BYTES_MAX + 1];
    va_list list;

    if (addr != NULL) {
        memcpy(event.ip, addr->ip, sizeof event.ip);
        event.port = addr->port;
    }
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    happened_note(&server->watching.happenings, &event, text);
    recording_event(server->recording, &event, text);
    hurry(&server->watching, event.when_ns);
}

/* ---- who watches ---- */

static bool is_active(const struct watcher *watcher, uint64_t now_ns)
{
    return watcher->session != 0 && now_ns < watcher->until_ns;
}

/* The union of all wishes of clients: false when there are none. */
static bool wish_of_clients(const struct watching *w, uint64_t now_ns, uint64_t *interval_ns, uint32_t *kinds)
{
    bool is_any = false;

    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        if (!is_active(&w->watcher[i], now_ns))
            continue;
        if (!is_any || w->watcher[i].interval_ns < *interval_ns)
            *interval_ns = w->watcher[i].interval_ns;
        *kinds |= w->watcher[i].kinds;
        is_any = true;
    }
    return is_any;
}

static bool wish_of_all(const struct server *server, uint64_t now_ns, uint64_t *interval_ns, uint32_t *kinds)
{
    const struct watching *w = &server->watching;
    bool is_any = wish_of_clients(w, now_ns, interval_ns, kinds);

    if (server->recording != NULL) {
        *interval_ns = is_any && *interval_ns < RECORD_MS * MS_NS ? *interval_ns : RECORD_MS * MS_NS;
        *kinds |= MESH_TELEMETRY_ALL;
        is_any = true;
    }
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++) {
        if (now_ns >= w->looker[i].until_ns)
            continue;
        if (!is_any || w->looker[i].interval_ns < *interval_ns)
            *interval_ns = w->looker[i].interval_ns;
        *kinds |= w->looker[i].kinds;
        is_any = true;
    }
    return is_any;
}

static struct watcher *find_watcher(struct watching *w, uint32_t session, uint64_t now_ns)
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

static void refuse_watcher(struct server *server, uint32_t session, const char *why)
{
    uint8_t record[256];
    const struct talk talk = {.kind = TALK_REFUSED, .text = why, .text_size = strlen(why)};

    server->watching.refused++;
    mesh_sessions_send(server->sessions, mesh_udp_now_ns(), session, record, talk_write(&talk, record));
}

/* ---- datagrams among members ---- */

static void send_outside(struct server *server, const struct mesh_addr *to, struct mesh_message *message)
{
    const enum mesh_security security = server->config->shift.security;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes;

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = server->config->version != 0 ? (uint8_t)server->config->version : MESH_WIRE_VERSION;
    message->header.number = mesh_cluster_spend_number(server->cluster);
    message->header.have_step = MESH_STEP_NONE;
    message->header.sent_ns = mesh_udp_now_ns();
    memcpy(message->as.report.incarnation, server->incarnation, sizeof message->as.report.incarnation);
    bytes = mesh_wire_encode(message, packet, sizeof packet);
    if (security == MESH_SECURITY_NONE || mesh_seal_packet(&server->process_key, security, packet, bytes) == MESH_OK)
        mesh_udp_send_to(server->config->shift.udp, *to, packet, bytes);
}

/* Ask all other members for their reports, for so long. */
static void look_at_others(struct server *server, uint64_t interval_ns, uint32_t kinds, uint16_t lease_ms)
{
    const struct shift *shift = server->shift;

    for (uint16_t r = 0; shift != NULL && r < shift->count; r++) {
        struct mesh_message message = {.header.type = MESH_TYPE_LOOK};

        if (r == shift->rank)
            continue;
        message.as.look.interval_ms = (uint16_t)(interval_ns / MS_NS);
        message.as.look.lease_ms = lease_ms;
        message.as.look.kinds = kinds;
        send_outside(server, &shift->member[r].addr, &message);
    }
}

/* When nobody watches here any more, the others need not go on until their leases end. */
static void stop_looking(struct server *server)
{
    uint64_t interval_ns;
    uint32_t kinds = 0;

    if (!wish_of_clients(&server->watching, mesh_udp_now_ns(), &interval_ns, &kinds))
        look_at_others(server, MESH_TELEMETRY_INTERVAL_MS_MIN * MS_NS, 0, LOOK_NO_MORE_MS);
}

bool serve_watch_take_record(struct server *server, uint32_t session, const uint8_t *record, size_t bytes)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    struct watching *w = &server->watching;
    struct mesh_telemetry_watch watch;
    struct watcher *watcher;
    int err = mesh_telemetry_read_watch(&watch, record, bytes);

    if (err == MESH_ETYPE)
        return false;
    if (err != MESH_OK) {
        refuse_watcher(server, session, "this node does not understand how it is to be watched: are both of the same version?");
        return true;
    }
    watcher = find_watcher(w, session, now_ns);
    if (watcher == NULL) {
        refuse_watcher(server, session, "this node is watched by as many clients as it takes: ask another node");
        return true;
    }
    if (!is_active(watcher, now_ns)) {
        hurry(w, now_ns);
        w->look_at_ns = 0;
        w->tells_all_events = true;
    }
    watcher->kinds = watch.kinds;
    watcher->interval_ns = watch.interval_ms * MS_NS;
    watcher->until_ns = now_ns + watch.lease_ms * MS_NS;
    if (watch.lease_ms == 0)
        serve_watch_drop(server, session);
    return true;
}

void serve_watch_drop(struct server *server, uint32_t session)
{
    bool was_watching = false;

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        if (server->watching.watcher[i].session == session) {
            server->watching.watcher[i].session = 0;
            was_watching = true;
        }
    if (was_watching)
        stop_looking(server);
}

/* The member that a datagram says it is of, and comes from; NULL: none. */
static const struct mesh_cluster_member *member_of(const struct server *server, const uint8_t *incarnation, const struct mesh_addr *from,
                                                   uint16_t *rank)
{
    const struct shift *shift = server->shift;

    for (uint16_t r = 0; shift != NULL && r < shift->count; r++) {
        const struct mesh_cluster_member *member = &shift->member[r];

        *rank = r;
        if (r != shift->rank && memcmp(member->incarnation, incarnation, sizeof member->incarnation) == 0)
            return member->addr.port == from->port && memcmp(member->addr.ip, from->ip, sizeof from->ip) == 0 ? member : NULL;
    }
    return NULL;
}

static void take_look(struct server *server, uint64_t now_ns, uint16_t rank, const struct mesh_addr *from, const struct mesh_look *look)
{
    struct looker *looker = &server->watching.looker[rank];

    if (now_ns >= looker->until_ns) {
        hurry(&server->watching, now_ns);
        server->watching.tells_all_events = true;
    }
    looker->addr = *from;
    looker->kinds = look->kinds;
    looker->interval_ns = look->interval_ms * MS_NS;
    looker->until_ns = now_ns + look->lease_ms * MS_NS;
}

/* To a client, unless it has had enough of that member for now, or its queue is full. */
static void forward_to(struct server *server, struct watcher *watcher, uint64_t now_ns, uint16_t rank, uint32_t serial,
                       const struct mesh_telemetry_report *report)
{
    uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];

    if (serial != watcher->serial[rank]) {
        if (now_ns + watcher->interval_ns / 4 < watcher->next_ns[rank])
            return;
        watcher->serial[rank] = serial;
        watcher->next_ns[rank] = now_ns + watcher->interval_ns;
    }
    if (mesh_sessions_send(server->sessions, now_ns, watcher->session, record, mesh_telemetry_write_report(report, record)) == MESH_OK)
        server->watching.forwarded++;
}

static void forward(struct server *server, uint16_t rank, uint32_t serial, const uint8_t *piece, size_t bytes)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    const struct mesh_telemetry_report report = {.now_ns = now_ns, .unix_ms = unix_ms(), .piece = piece, .piece_bytes = bytes};

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        if (is_active(&server->watching.watcher[i], now_ns))
            forward_to(server, &server->watching.watcher[i], now_ns, rank, serial, &report);
}

/* A piece of another member: of itself, and well formed, or it goes no further. */
static bool take_report(struct server *server, uint16_t rank, const struct mesh_message *message)
{
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;

    if (message->data_bytes > MESH_TELEMETRY_PIECE_BYTES_MAX || mesh_telemetry_check(message->data, message->data_bytes) != MESH_OK ||
        mesh_telemetry_open(&reader, message->data, message->data_bytes, &head) != MESH_OK ||
        memcmp(head.incarnation, message->as.report.incarnation, sizeof head.incarnation) != 0)
        return false;
    forward(server, rank, head.serial, message->data, message->data_bytes);
    return true;
}

bool serve_watch_take_packet(struct server *server, uint64_t now_ns, const struct inbox_packet *packet)
{
    const uint8_t type = packet->bytes[offsetof(struct mesh_header_bytes, type)];
    struct mesh_message message;
    bool is_good = false;
    uint16_t rank;

    if (type != MESH_TYPE_LOOK && type != MESH_TYPE_REPORT)
        return false;
    if (mesh_wire_decode(packet->bytes, packet->size, &message) == MESH_OK &&
        member_of(server, message.as.report.incarnation, &packet->from, &rank) != NULL) {
        is_good = type == MESH_TYPE_LOOK || take_report(server, rank, &message);
        if (type == MESH_TYPE_LOOK)
            take_look(server, now_ns, rank, &packet->from, &message.as.look);
    }
    server->watching.refused += !is_good;
    return true;
}

void serve_watch_send(struct server *server, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    struct watching *w = &server->watching;
    const uint64_t now_ns = mesh_udp_now_ns();

    w->pieces++;
    serve_record_piece(server, head, piece, bytes);
    forward(server, head->rank < MESH_RANKS_MAX ? head->rank : 0, head->serial, piece, bytes);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++) {
        struct mesh_message message = {.header.type = MESH_TYPE_REPORT, .data = piece, .data_bytes = bytes};

        if (now_ns < w->looker[i].until_ns)
            send_outside(server, &w->looker[i].addr, &message);
    }
}

unsigned serve_watch_count(const struct server *server)
{
    const struct watching *w = &server->watching;
    const uint64_t now_ns = mesh_udp_now_ns();
    unsigned count = 0;

    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        count += is_active(&w->watcher[i], now_ns);
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        count += now_ns < w->looker[i].until_ns;
    return count;
}

/* ---- when ---- */

void serve_watch_run(struct server *server)
{
    struct watching *w = &server->watching;
    const uint64_t now_ns = mesh_udp_now_ns();
    uint64_t interval_ns = 0;
    uint32_t kinds = 0;

    if (now_ns >= w->look_at_ns && wish_of_clients(w, now_ns, &interval_ns, &kinds)) {
        look_at_others(server, interval_ns, kinds, LOOK_LEASE_MS);
        w->look_at_ns = now_ns + LOOK_MS * MS_NS;
    }
    kinds = 0;
    if (now_ns < w->report_at_ns || !wish_of_all(server, now_ns, &interval_ns, &kinds))
        return;
    w->report_at_ns = now_ns + interval_ns;
    serve_report(server, kinds);
}

uint64_t serve_watch_due_ns(const struct server *server)
{
    const struct watching *w = &server->watching;
    uint64_t interval_ns = 0, due_ns = UINT64_MAX;
    uint32_t kinds = 0;

    if (wish_of_all(server, mesh_udp_now_ns(), &interval_ns, &kinds))
        due_ns = w->report_at_ns;
    if (wish_of_clients(w, mesh_udp_now_ns(), &interval_ns, &kinds) && w->look_at_ns < due_ns)
        due_ns = w->look_at_ns;
    return due_ns;
}

/* ---- the node's course ---- */

void serve_watch_epoch(struct server *server)
{
    struct watching *w = &server->watching;

    w->epoch_ns = mesh_udp_now_ns();
    w->step_serial = 0;
    w->look_at_ns = 0;
    /* By rank, and ranks are others now. Who still looks says so within a second. */
    memset(w->looker, 0, sizeof w->looker);
    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        memset(w->watcher[i].serial, 0, sizeof w->watcher[i].serial);
        memset(w->watcher[i].next_ns, 0, sizeof w->watcher[i].next_ns);
    }
}

int serve_watch_open(struct server *server, struct fail *fail)
{
    server->watching.start_ns = mesh_udp_now_ns();
    if (measure_init(&server->watching.measure) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    serve_note(server, MESH_HAPPENED_START, MESH_TELEMETRY_NOBODY, NULL, "mesh-node " MESH_VERSION);
    return 0;
}

void serve_watch_close(struct server *server)
{
    measure_release(&server->watching.measure);
}
