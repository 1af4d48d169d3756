#include "session_connection.h"

#include <assert.h>
#include <string.h>

#define SECOND_NS  UINT64_C(1000000000)
#define OPENING_NS (5 * SECOND_NS)  /* without a datagram of the other side, the session is over: before it is up */
#define UP_NS      (10 * SECOND_NS) /* and afterwards */
#define CLOSING_NS SECOND_NS        /* for records to be acknowledged */

enum { BUFFER_BYTES = 131072 }; /* of the driver's receive buffer, per session: all fragments that may fly */

static const uint64_t silence_ns[] = {[MESH_CONNECTION_OPENING] = OPENING_NS, [MESH_CONNECTION_UP] = UP_NS};

/* Numbers outside of epochs begin here, apart from those that the cluster layer uses under the same key. */
#define NUMBERS_BEGIN (UINT64_C(1) << 63)

bool mesh_session_is_guarded(const struct mesh_session_guard *guard)
{
    return guard && guard->security != MESH_SECURITY_NONE;
}

bool mesh_session_has_mode(const struct mesh_session_guard *guard, const uint8_t *packet, enum mesh_session_refusal *refusal)
{
    const unsigned both = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED;
    const unsigned flags = packet[offsetof(struct mesh_header_bytes, flags)] & MESH_FLAGS_OF_SEALING; /* none of AES: that is for epochs */
    const unsigned wanted = !mesh_session_is_guarded(guard) ? 0 : guard->security == MESH_SECURITY_SEAL ? both : MESH_FLAG_AUTHENTICATED;

    if (flags == wanted)
        return true;
    *refusal = flags & MESH_FLAG_AUTHENTICATED ? MESH_SESSION_BY_MODE : MESH_SESSION_BY_PLAIN;
    return false;
}

bool mesh_session_is_of_one(const uint8_t *packet, size_t bytes)
{
    const uint8_t *epoch = packet + offsetof(struct mesh_header_bytes, epoch);

    if (bytes < MESH_HEADER_BYTES)
        return false;
    if (epoch[3] & 128)
        return true;
    return !(epoch[0] | epoch[1] | epoch[2] | epoch[3]) && packet[offsetof(struct mesh_header_bytes, type)] >= MESH_TYPE_CALL &&
           packet[offsetof(struct mesh_header_bytes, type)] < MESH_TYPE_COUNT;
}

size_t mesh_session_write_outside(struct mesh_message *message, uint16_t version, uint64_t *number, uint64_t now_ns, uint8_t *packet,
                                  size_t capacity)
{
    struct mesh_header *header = &message->header;
    size_t bytes;

    assert(*number < UINT64_MAX - 1 - NUMBERS_BEGIN);
    header->magic = MESH_WIRE_MAGIC;
    header->version = (uint8_t)version;
    header->number = NUMBERS_BEGIN + ++*number;
    header->have_step = MESH_STEP_NONE;
    header->sent_ns = now_ns;
    bytes = mesh_wire_encode(message, packet, capacity);
    assert(bytes <= MESH_SESSION_OUTSIDE_BYTES_MAX);
    return bytes;
}

bool mesh_session_seal_outside(const struct mesh_session_guard *guard, uint8_t *packet, size_t bytes)
{
    return !mesh_session_is_guarded(guard) || !guard->seal_outside(guard->app, packet, bytes);
}

/* ---- opening and ending ---- */

static void configure(struct mesh_config *config, uint16_t rank, uint32_t session)
{
    memset(config, 0, sizeof *config);
    config->rank = rank;
    config->rank_count = 2;
    config->epoch = MESH_SESSION_EPOCH | session;
    config->phase_count = config->tokens_max = config->blocks_max = 1;
    config->datagram_bytes_max = MESH_SESSION_DATAGRAM_BYTES;
    config->receive_buffer_bytes = BUFFER_BYTES;
}

size_t mesh_connection_memory_bytes(void)
{
    struct mesh_config config;

    configure(&config, 0, 1);
    return mesh_memory_bytes(&config);
}

int mesh_connection_start(struct mesh_connection *connection, const struct mesh_connection_config *config, void *memory, uint64_t now_ns)
{
    const struct mesh_session_guard *guard = config->guard;
    struct mesh_config mesh;
    int err = mesh_session_is_guarded(guard) ? guard->begin(guard->app, config->slot, config->own, config->other) : 0;

    if (err)
        return err;
    configure(&mesh, config->rank, config->session);
    memcpy(mesh.incarnation, config->own, sizeof mesh.incarnation);
    mesh.configuration[0] = config->records;
    *connection = (struct mesh_connection){.state = MESH_CONNECTION_OPENING,
                                           .rank = config->rank,
                                           .slot = config->slot,
                                           .session = config->session,
                                           .guard = guard,
                                           .addr = config->addr,
                                           .heard_ns = now_ns};
    err = mesh_init(&connection->mesh, &mesh, memory, mesh_connection_memory_bytes(), now_ns);
    assert(!err);
    mesh_set_peer(connection->mesh, (uint16_t)(1 - connection->rank), connection->addr);
    return 0;
}

void mesh_connection_free(struct mesh_connection *connection)
{
    if (connection->state != MESH_CONNECTION_FREE && mesh_session_is_guarded(connection->guard))
        connection->guard->end(connection->guard->app, connection->slot);
    memset(connection, 0, sizeof *connection);
}

static bool is_open(const struct mesh_connection *connection)
{
    return connection->state == MESH_CONNECTION_OPENING || connection->state == MESH_CONNECTION_UP;
}

static bool is_running(const struct mesh_connection *connection)
{
    return is_open(connection) || connection->state == MESH_CONNECTION_CLOSING;
}

/* Closed here: is there still a reason to wait? */
static void advance(struct mesh_connection *connection, uint64_t now_ns)
{
    if (connection->state != MESH_CONNECTION_CLOSING)
        return;
    if (connection->why) {
        connection->state = MESH_CONNECTION_OVER;
    } else if (now_ns >= connection->close_by_ns || mesh_is_quiet(connection->mesh)) {
        mesh_goodbye(connection->mesh, now_ns);
        connection->state = MESH_CONNECTION_LEAVING;
    }
}

void mesh_connection_close(struct mesh_connection *connection, uint64_t now_ns)
{
    if (!is_open(connection))
        return;
    connection->state = MESH_CONNECTION_CLOSING;
    connection->close_by_ns = now_ns + CLOSING_NS;
    advance(connection, now_ns);
}

/* ---- datagrams in, time ---- */

int mesh_connection_open(const struct mesh_connection *connection, uint8_t *packet, size_t bytes)
{
    if (!is_running(connection) || connection->why)
        return MESH_ESTATE;
    return mesh_session_is_guarded(connection->guard) ? connection->guard->open(connection->guard->app, connection->slot, packet, bytes)
                                                      : 0;
}

int mesh_connection_receive(struct mesh_connection *connection, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_session_event ignored;
    int err;

    from.scope = connection->addr.scope; /* equal otherwise */
    err = mesh_receive(connection->mesh, now_ns, from, packet, bytes);
    if (!err)
        connection->heard_ns = now_ns;
    if (connection->state == MESH_CONNECTION_CLOSING)
        while (mesh_connection_next_event(connection, &ignored))
            ;
    advance(connection, now_ns);
    return err;
}

void mesh_connection_tick(struct mesh_connection *connection, uint64_t now_ns)
{
    if (!is_running(connection) || connection->why)
        return;
    mesh_tick(connection->mesh, now_ns);
    if (is_open(connection) && now_ns - connection->heard_ns >= silence_ns[connection->state])
        connection->why = MESH_SESSION_SILENT;
    advance(connection, now_ns);
}

uint64_t mesh_connection_timeout(const struct mesh_connection *connection)
{
    uint64_t own_ns, mesh_ns;

    if (!is_running(connection) || connection->why)
        return UINT64_MAX;
    own_ns = is_open(connection) ? connection->heard_ns + silence_ns[connection->state] : connection->close_by_ns;
    mesh_ns = mesh_timeout(connection->mesh);
    return own_ns < mesh_ns ? own_ns : mesh_ns;
}

int mesh_connection_send(struct mesh_connection *connection, uint64_t now_ns, const uint8_t *record, size_t record_bytes)
{
    if (connection->state != MESH_CONNECTION_UP || connection->why)
        return MESH_ESTATE;
    return mesh_send_record(connection->mesh, now_ns, (uint16_t)(1 - connection->rank), record, record_bytes);
}

size_t mesh_connection_room_bytes(const struct mesh_connection *connection)
{
    if (connection->state != MESH_CONNECTION_UP || connection->why)
        return 0;
    return mesh_record_room_bytes(connection->mesh, (uint16_t)(1 - connection->rank));
}

/* ---- events and datagrams out ---- */

/* What the endpoint says, for the connection itself. True: *event is for the application. */
static bool take_event(struct mesh_connection *connection, const struct mesh_event *from, struct mesh_session_event *event)
{
    switch (from->type) {
    case MESH_EVENT_UP:
        if (connection->state != MESH_CONNECTION_OPENING)
            return false;
        connection->state = MESH_CONNECTION_UP;
        event->type = MESH_SESSION_OPENED;
        return true;
    case MESH_EVENT_RECORD:
        event->type = MESH_SESSION_RECORD;
        event->record = from->record;
        event->record_bytes = from->record_bytes;
        return true;
    case MESH_EVENT_GONE:
        connection->why = MESH_SESSION_GOODBYE;
        return false;
    case MESH_EVENT_REFUSED:
        connection->why = MESH_SESSION_UNFIT;
        connection->version = (uint8_t)(from->theirs >> 56);
        return false;
    default:
        return false;
    }
}

bool mesh_connection_next_event(struct mesh_connection *connection, struct mesh_session_event *event)
{
    struct mesh_event from;

    if (!is_running(connection))
        return false;
    *event = (struct mesh_session_event){.session = connection->session, .addr = connection->addr};
    while (mesh_next_event(connection->mesh, &from))
        if (take_event(connection, &from, event))
            return true;
    if (!connection->why || connection->state != MESH_CONNECTION_UP)
        return false;
    event->type = MESH_SESSION_CLOSED;
    event->why = connection->why;
    event->version = connection->version;
    connection->state = MESH_CONNECTION_OVER;
    return true;
}

size_t mesh_connection_next_datagram(struct mesh_connection *connection, uint64_t now_ns, uint8_t *packet, size_t capacity)
{
    struct mesh_output output;

    if (connection->state != MESH_CONNECTION_LEAVING && (!is_running(connection) || connection->why))
        return 0;
    while (mesh_next_datagram(connection->mesh, now_ns, packet, capacity, &output))
        if (output.ranks) /* else to a stranger: there are none in a session */
            return output.bytes;
    if (connection->state == MESH_CONNECTION_LEAVING)
        connection->state = MESH_CONNECTION_OVER;
    return 0;
}

bool mesh_connection_seal(const struct mesh_connection *connection, uint8_t *packet, size_t bytes)
{
    return !mesh_session_is_guarded(connection->guard) || !connection->guard->seal(connection->guard->app, connection->slot, packet, bytes);
}
