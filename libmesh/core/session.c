/* The node's side of client sessions: the table, time, and the application's calls. Calls of new clients are in session_calls.c. */
#include <assert.h>
#include <string.h>

#include "session_parts.h"
#include "session_tap.h"

const char *mesh_session_refusal_name(enum mesh_session_refusal refusal)
{
    static const char *const names[] = {
        [MESH_SESSION_BY_FORM] = "form",     [MESH_SESSION_BY_PLAIN] = "plain",     [MESH_SESSION_BY_MODE] = "mode",
        [MESH_SESSION_BY_TAG] = "tag",       [MESH_SESSION_BY_VERSION] = "version", [MESH_SESSION_BY_COOKIE] = "cookie",
        [MESH_SESSION_BY_REPLAY] = "replay", [MESH_SESSION_BY_UNKNOWN] = "unknown", [MESH_SESSION_BY_SENDER] = "sender",
        [MESH_SESSION_BY_FULL] = "full",     [MESH_SESSION_BY_ENDING] = "ending",
    };
    _Static_assert(sizeof names / sizeof *names == MESH_SESSION_REFUSALS, "each reason has a word");

    return (unsigned)refusal < MESH_SESSION_REFUSALS ? names[refusal] : "?";
}

/* ---- memory ---- */

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

size_t mesh_sessions_memory_bytes(unsigned capacity)
{
    return aligned(sizeof(struct mesh_sessions)) + capacity * aligned(mesh_connection_memory_bytes());
}

int mesh_sessions_init(struct mesh_sessions **out, const struct mesh_sessions_config *config, void *memory, size_t memory_bytes,
                       uint64_t now_ns)
{
    struct mesh_sessions *s = memory;

    if (!config->capacity || config->capacity > MESH_SESSIONS_MAX || !config->hash || config->version > UINT8_MAX || !memory ||
        (uintptr_t)memory % 64 || memory_bytes < mesh_sessions_memory_bytes(config->capacity))
        return MESH_EINVAL;
    memset(s, 0, sizeof *s);
    s->config = *config;
    if (!s->config.version)
        s->config.version = MESH_WIRE_VERSION;
    if (!s->config.records)
        s->config.records = MESH_SESSION_RECORDS;
    s->now_ns = now_ns;
    for (unsigned i = 0; i < config->capacity; i++)
        s->slots[i].memory = (uint8_t *)memory + aligned(sizeof *s) + i * aligned(mesh_connection_memory_bytes());
    if (config->tap)
        mesh_sessions_tap_init(s);
    *out = s;
    return 0;
}

int mesh_sessions_refuse(struct mesh_sessions *s, enum mesh_session_refusal refusal, int err)
{
    s->stats.refused[refusal]++;
    return err;
}

/* ---- the table ---- */

struct mesh_session_slot *mesh_sessions_find(struct mesh_sessions *s, uint32_t session)
{
    for (unsigned i = 0; i < s->config.capacity; i++)
        if (s->slots[i].connection.state != MESH_CONNECTION_FREE && s->slots[i].connection.session == session)
            return &s->slots[i];
    return NULL;
}

static void free_slot(struct mesh_sessions *s, struct mesh_session_slot *slot)
{
    struct mesh_session_past *past = &s->past[(s->past_first + s->past_count) % MESH_SESSION_PAST];

    assert(s->past_count < MESH_SESSION_PAST && s->stats.open_now);
    memcpy(past->incarnation, slot->client, sizeof past->incarnation);
    past->until_ns = s->now_ns + 2 * MESH_COOKIE_WINDOW_NS;
    s->past_count++;
    s->stats.open_now--;
    mesh_connection_free(&slot->connection);
}

/* After anything that may have ended a session. One that never was up is of no interest to the application. */
static void sweep(struct mesh_sessions *s, struct mesh_session_slot *slot)
{
    struct mesh_connection *connection = &slot->connection;

    if (connection->why && !slot->was_up && connection->state == MESH_CONNECTION_OPENING) {
        s->stats.never_up++;
        connection->state = connection->why == MESH_SESSION_UNFIT ? MESH_CONNECTION_LEAVING : MESH_CONNECTION_OVER; /* which it is told */
    }
    if (connection->state == MESH_CONNECTION_OVER)
        free_slot(s, slot);
}

static int receive_session(struct mesh_sessions *s, const struct mesh_addr *from, size_t bytes, const struct mesh_header *header,
                           bool *is_opened)
{
    struct mesh_session_slot *slot = mesh_sessions_find(s, header->epoch & ~MESH_SESSION_EPOCH);
    enum mesh_session_refusal refusal;
    int err;

    if (!slot || slot->connection.state == MESH_CONNECTION_LEAVING)
        return mesh_sessions_refuse(s, MESH_SESSION_BY_UNKNOWN, MESH_EEPOCH);
    if (!mesh_addr_equal(&slot->connection.addr, from))
        return mesh_sessions_refuse(s, MESH_SESSION_BY_SENDER, MESH_ESENDER);
    if (!mesh_session_has_mode(s->config.guard, s->packet, &refusal))
        return mesh_sessions_refuse(s, refusal, MESH_EAUTH);
    err = mesh_connection_open(&slot->connection, s->packet, bytes);
    if (err)
        return err == MESH_EAUTH ? mesh_sessions_refuse(s, MESH_SESSION_BY_TAG, err) : err;
    *is_opened = true;
    err = mesh_connection_receive(&slot->connection, s->now_ns, *from, s->packet, bytes);
    sweep(s, slot);
    return err;
}

/* By its header, which is decoded. */
static int receive(struct mesh_sessions *s, const struct mesh_addr *from, size_t bytes, struct mesh_message *message)
{
    bool is_opened = false;
    int err;

    if (message->header.epoch & MESH_SESSION_EPOCH)
        err = receive_session(s, from, bytes, &message->header, &is_opened);
    else if (message->header.epoch)
        return mesh_sessions_refuse(s, MESH_SESSION_BY_FORM, MESH_EEPOCH);
    else
        err = mesh_sessions_receive_outside(s, from, bytes, message, &is_opened);
    if (is_opened && s->config.tap)
        mesh_sessions_tap_receive(s, err, from, s->packet, bytes);
    return err;
}

int mesh_sessions_receive(struct mesh_sessions *s, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_message message;
    int err;

    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    if (bytes > sizeof s->packet)
        return mesh_sessions_refuse(s, MESH_SESSION_BY_FORM, MESH_ERANGE);
    err = mesh_wire_decode_header(packet, bytes, &message.header);
    if (err)
        return mesh_sessions_refuse(s, MESH_SESSION_BY_FORM, err);
    memcpy(s->packet, packet, bytes);
    return receive(s, &from, bytes, &message);
}

/* ---- time ---- */

void mesh_sessions_tick(struct mesh_sessions *s, uint64_t now_ns)
{
    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    if (now_ns < mesh_sessions_timeout(s))
        return;
    for (unsigned i = 0; i < s->config.capacity; i++) {
        mesh_connection_tick(&s->slots[i].connection, now_ns);
        sweep(s, &s->slots[i]);
    }
    if (s->config.tap)
        mesh_sessions_tap_plain(s, MESH_TAPE_SESSIONS_TICK);
}

uint64_t mesh_sessions_timeout(const struct mesh_sessions *s)
{
    uint64_t due_ns = UINT64_MAX;

    for (unsigned i = 0; i < s->config.capacity; i++) {
        uint64_t connection_ns = mesh_connection_timeout(&s->slots[i].connection);

        due_ns = connection_ns < due_ns ? connection_ns : due_ns;
    }
    return due_ns;
}

/* ---- the application ---- */

int mesh_sessions_send(struct mesh_sessions *s, uint64_t now_ns, uint32_t session, const uint8_t *record, size_t record_bytes)
{
    struct mesh_session_slot *slot = mesh_sessions_find(s, session);
    int err;

    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    err = slot ? mesh_connection_send(&slot->connection, now_ns, record, record_bytes) : MESH_ESTATE;
    if (!err && s->config.tap)
        mesh_sessions_tap_send(s, session, record, record_bytes);
    return err;
}

size_t mesh_sessions_room_bytes(struct mesh_sessions *s, uint32_t session)
{
    struct mesh_session_slot *slot = mesh_sessions_find(s, session);

    return slot ? mesh_connection_room_bytes(&slot->connection) : 0;
}

static void close_slot(struct mesh_sessions *s, struct mesh_session_slot *slot)
{
    if (slot->connection.state != MESH_CONNECTION_OPENING && slot->connection.state != MESH_CONNECTION_UP)
        return;
    s->stats.closed_here++;
    mesh_connection_close(&slot->connection, s->now_ns);
    sweep(s, slot);
}

void mesh_sessions_close(struct mesh_sessions *s, uint64_t now_ns, uint32_t session)
{
    struct mesh_session_slot *slot = mesh_sessions_find(s, session);

    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    if (!slot)
        return;
    close_slot(s, slot);
    if (s->config.tap)
        mesh_sessions_tap_close(s, session);
}

void mesh_sessions_end(struct mesh_sessions *s, uint64_t now_ns)
{
    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    s->is_ending = true;
    for (unsigned i = 0; i < s->config.capacity; i++)
        close_slot(s, &s->slots[i]);
    if (s->config.tap)
        mesh_sessions_tap_plain(s, MESH_TAPE_SESSIONS_END);
}

static void note_event(struct mesh_sessions *s, struct mesh_session_slot *slot, const struct mesh_session_event *event)
{
    if (event->type == MESH_SESSION_OPENED) {
        slot->was_up = true;
        s->stats.opened++;
    } else if (event->type == MESH_SESSION_CLOSED) {
        if (event->why == MESH_SESSION_SILENT)
            s->stats.closed_by_silence++;
        else
            s->stats.closed_by_goodbye++;
        sweep(s, slot);
    }
}

static bool next_event(struct mesh_sessions *s, struct mesh_session_event *event)
{
    for (unsigned i = 0; i < s->config.capacity; i++, s->turn = (s->turn + 1) % s->config.capacity) {
        struct mesh_session_slot *slot = &s->slots[s->turn];

        if (slot->connection.state != MESH_CONNECTION_OPENING && slot->connection.state != MESH_CONNECTION_UP)
            continue;
        if (mesh_connection_next_event(&slot->connection, event)) {
            note_event(s, slot, event);
            return true;
        }
        sweep(s, slot);
    }
    return false;
}

bool mesh_sessions_next_event(struct mesh_sessions *s, uint64_t now_ns, struct mesh_session_event *event)
{
    bool has_event;

    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    has_event = next_event(s, event);
    if (s->config.tap && has_event)
        mesh_sessions_tap_event(s, event);
    else if (s->config.tap)
        mesh_sessions_tap_plain(s, MESH_TAPE_SESSIONS_NONE);
    return has_event;
}

/* Not sealed. *connection: whose it is; NULL: an answer to a call, of no session. */
static size_t next_datagram(struct mesh_sessions *s, uint8_t *packet, size_t capacity, struct mesh_addr *to,
                            const struct mesh_connection **connection)
{
    *connection = NULL;
    if (s->answer_count)
        return mesh_sessions_write_answer(s, packet, capacity, to);
    for (unsigned i = 0; i < s->config.capacity; i++) {
        struct mesh_session_slot *slot = &s->slots[i];
        size_t bytes = mesh_connection_next_datagram(&slot->connection, s->now_ns, packet, capacity);

        *to = slot->connection.addr;
        *connection = &slot->connection;
        if (bytes)
            return bytes;
        sweep(s, slot);
    }
    return 0;
}

size_t mesh_sessions_next_datagram(struct mesh_sessions *s, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_addr *to)
{
    const struct mesh_connection *connection;
    size_t bytes;

    assert(now_ns >= s->now_ns);
    assert(capacity >= MESH_SESSION_DATAGRAM_BYTES);
    s->now_ns = now_ns;
    while ((bytes = next_datagram(s, packet, capacity, to, &connection))) {
        if (s->config.tap)
            mesh_sessions_tap_datagram(s, to, packet, bytes);
        if (connection ? mesh_connection_seal(connection, packet, bytes) : mesh_session_seal_outside(s->config.guard, packet, bytes))
            return bytes;
    }
    if (s->config.tap)
        mesh_sessions_tap_plain(s, MESH_TAPE_SESSIONS_DRAINED);
    return 0;
}

void mesh_sessions_get_stats(const struct mesh_sessions *s, struct mesh_sessions_stats *stats)
{
    *stats = s->stats;
}

unsigned mesh_sessions_peers(const struct mesh_sessions *s, struct mesh_session_peer out[MESH_SESSIONS_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < s->config.capacity; i++) {
        const struct mesh_connection *connection = &s->slots[i].connection;

        if (connection->state != MESH_CONNECTION_FREE && connection->state != MESH_CONNECTION_LEAVING)
            out[count++] = (struct mesh_session_peer){.session = connection->session, .addr = connection->addr};
    }
    return count;
}
