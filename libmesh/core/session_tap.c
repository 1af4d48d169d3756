/* Telling the tap of client sessions about their calls. Nothing here changes protocol state. */
#include "session_tap.h"

#include <string.h>

#include "tap.h"

static void put(struct mesh_sessions *s, struct mesh_tape_entry *entry, enum mesh_tape_kind kind)
{
    const struct mesh_tap *tap = s->config.tap;

    if (kind != MESH_TAPE_SESSIONS_NONE && kind != MESH_TAPE_SESSIONS_DRAINED)
        s->taped_none = s->taped_drained = false;
    entry->call.kind = (uint8_t)kind;
    entry->call.at_ns = s->now_ns;
    entry->call.due_ns = mesh_sessions_timeout(s);
    tap->put(tap->user, entry);
}

void mesh_sessions_tap_init(struct mesh_sessions *s)
{
    const struct mesh_sessions_config *config = &s->config;
    struct mesh_tape_entry entry = {
        .sessions_init = {.format = MESH_TAPE_FORMAT, .capacity = (uint16_t)config->capacity, .version = config->version}};

    memcpy(entry.sessions_init.incarnation, config->incarnation, sizeof config->incarnation);
    memcpy(entry.sessions_init.secret, config->secret, sizeof config->secret);
    config->hash("", 0, entry.sessions_init.hash);
    put(s, &entry, MESH_TAPE_SESSIONS_INIT);
}

/* A client's own data may stand behind the fields of any message, even of one that is refused for it: it is payload. Except lists that are
 * read: a rerun needs them. */
static void set_received(struct mesh_tape_entry *entry, const uint8_t *packet, size_t bytes)
{
    const struct mesh_wire_part *part = mesh_wire_message(packet[offsetof(struct mesh_header_bytes, type)]); /* its header is decoded */
    const size_t fixed = (size_t)MESH_HEADER_BYTES + part->wire_bytes;
    const bool is_list = part->tail == MESH_TAIL_RANGES || part->tail == MESH_TAIL_MEMBERS;
    struct mesh_message message;
    const size_t body = bytes < fixed || (is_list && mesh_wire_decode(packet, bytes, &message) == 0) ? bytes : fixed;

    mesh_tap_set_body(entry, packet, body);
    mesh_tap_set_payload(entry, packet + body, bytes - body);
}

void mesh_sessions_tap_receive(struct mesh_sessions *s, int err, const struct mesh_addr *from, const uint8_t *packet, size_t bytes)
{
    struct mesh_tape_entry entry = {.sessions_receive = {.error = (uint8_t)-err}};

    MESH_TAP_SET_ADDR(entry.sessions_receive, from);
    set_received(&entry, packet, bytes);
    put(s, &entry, MESH_TAPE_SESSIONS_RECEIVE);
}

void mesh_sessions_tap_plain(struct mesh_sessions *s, enum mesh_tape_kind kind)
{
    struct mesh_tape_entry entry = {.call = {.error = 0}};
    bool ignored = false, *taped = kind == MESH_TAPE_SESSIONS_NONE      ? &s->taped_none
                                   : kind == MESH_TAPE_SESSIONS_DRAINED ? &s->taped_drained
                                                                        : &ignored;

    if (!*taped)
        put(s, &entry, kind);
    *taped = true;
}

void mesh_sessions_tap_send(struct mesh_sessions *s, uint32_t session, const uint8_t *record, size_t bytes)
{
    struct mesh_tape_entry entry = {.sessions_send = {.session = session}};

    mesh_tap_set_payload(&entry, record, bytes);
    put(s, &entry, MESH_TAPE_SESSIONS_SEND);
}

void mesh_sessions_tap_close(struct mesh_sessions *s, uint32_t session)
{
    struct mesh_tape_entry entry = {.sessions_close = {.session = session}};

    put(s, &entry, MESH_TAPE_SESSIONS_CLOSE);
}

void mesh_sessions_tap_event(struct mesh_sessions *s, const struct mesh_session_event *event)
{
    struct mesh_tape_entry entry = {
        .sessions_event = {.session = event->session, .type = (uint8_t)event->type, .why = (uint8_t)event->why}};

    MESH_TAP_SET_ADDR(entry.sessions_event, &event->addr);
    mesh_tap_set_payload(&entry, event->record, event->record_bytes);
    put(s, &entry, MESH_TAPE_SESSIONS_EVENT);
}

void mesh_sessions_tap_datagram(struct mesh_sessions *s, const struct mesh_addr *to, const uint8_t *packet, size_t bytes)
{
    struct mesh_tape_entry entry = {.sessions_datagram = {.ranks = 0}};

    MESH_TAP_SET_ADDR(entry.sessions_datagram, to);
    mesh_tap_set_datagram(&entry, packet, bytes);
    put(s, &entry, MESH_TAPE_SESSIONS_DATAGRAM);
}
