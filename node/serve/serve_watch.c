#include "serve_watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mesh/version.h"
#include "serve_state.h"

enum { RECORD_NS = 250000000 /* between two reports that are recorded */ };

/* ---- events ---- */

uint64_t serve_unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void serve_note(struct server *server, enum mesh_node_event happened, uint16_t rank, const struct mesh_addr *addr, const char *format, ...)
{
    struct mesh_telemetry_event event = {
        .happened = (uint8_t)happened,
        .when_ns = mesh_udp_now_ns(),
        .unix_ms = serve_unix_ms(),
        .epoch = server->run != NULL ? server->run->number : 0,
        .rank = rank,
    };
    char text[TROUBLE_TEXT_BYTES];
    va_list list;

    if (addr != NULL) {
        memcpy(event.ip, addr->ip, sizeof event.ip);
        event.port = addr->port;
    }
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    event_ring_add(&server->watching.events, &event, text);
    recording_event(server->recording, &event, event_ring_get(&server->watching.events, server->watching.events.count)->text);
    watch_hurry(&server->watching.watch, event.when_ns);
}

/* ---- what is sent ---- */

static bool to_client(void *app, uint32_t session, const uint8_t *record, size_t bytes)
{
    struct server *server = app;

    return mesh_sessions_send(server->sessions, mesh_udp_now_ns(), session, record, bytes) == MESH_OK;
}

static void to_member(void *app, const struct mesh_addr *to, struct mesh_message *message)
{
    struct server *server = app;
    const enum mesh_security security = server->config->run.security;
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
        mesh_udp_send_to(server->config->run.udp, *to, packet, bytes);
}

/* ---- what comes ---- */

bool serve_watch_take_record(struct server *server, uint32_t session, const uint8_t *record, size_t bytes)
{
    const char *why = NULL;
    const enum watch_verdict verdict = watch_take_record(&server->watching.watch, mesh_udp_now_ns(), session, record, bytes, &why);
    uint8_t answer[256];

    if (verdict == WATCH_REFUSED) {
        const struct client_message message = {.kind = CLIENT_MESSAGE_REFUSED, .text = why, .text_size = strlen(why)};

        mesh_sessions_send(server->sessions, mesh_udp_now_ns(), session, answer, client_message_write(&message, answer));
    }
    return verdict != WATCH_NOT_OURS;
}

void serve_watch_drop(struct server *server, uint32_t session)
{
    watch_drop(&server->watching.watch, mesh_udp_now_ns(), session);
}

bool serve_watch_take_packet(struct server *server, uint64_t now_ns, const struct packet_ring_entry *packet)
{
    return watch_take_packet(&server->watching.watch, now_ns, serve_unix_ms(), &packet->from, packet->bytes, packet->size) !=
           WATCH_NOT_OURS;
}

unsigned serve_watch_count(const struct server *server)
{
    return watch_count(&server->watching.watch, mesh_udp_now_ns());
}

/* ---- when ---- */

static void set_own_wish(struct server *server)
{
    server->watching.watch.own_ns = server->recording != NULL ? RECORD_NS : 0;
}

void serve_watch_end_epoch(struct server *server)
{
    set_own_wish(server);
    server->record_at_ns = 0;
    watch_report_last(&server->watching.watch, mesh_udp_now_ns());
}

void serve_watch_run(struct server *server)
{
    set_own_wish(server);
    watch_run(&server->watching.watch, mesh_udp_now_ns());
}

uint64_t serve_watch_due_ns(const struct server *server)
{
    return watch_due_ns(&server->watching.watch, mesh_udp_now_ns());
}

/* ---- the node's course ---- */

void serve_watch_epoch(struct server *server)
{
    struct watching *w = &server->watching;
    const struct serve_memory *memory = &server->memory;
    const struct epoch_run *run = server->run;

    w->epoch_ns = mesh_udp_now_ns();
    w->report.step_serial = 0;
    if (run != NULL)
        watch_epoch(&w->watch, run->member, run->count, run->rank);
    else if (memory->missing_bytes > 0) /* a node that waits for memory reports to other members, too */
        watch_epoch(&w->watch, memory->member, memory->count, memory->rank);
    else
        watch_epoch(&w->watch, NULL, 0, 0);
}

int serve_watch_open(struct server *server, struct fail *fail)
{
    const struct watch_hooks hooks = {.to_client = to_client, .to_member = to_member, .report = serve_report, .app = server};

    watch_init(&server->watching.watch, server->incarnation, &hooks);
    server->watching.start_ns = mesh_udp_now_ns();
    if (node_metrics_init(&server->watching.metrics) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    serve_note(server, MESH_NODE_EVENT_START, MESH_TELEMETRY_NOBODY, NULL, "mesh-node " MESH_VERSION);
    return 0;
}

void serve_watch_close(struct server *server)
{
    node_metrics_release(&server->watching.metrics);
}
