/* The client's side of a session: calling until it is open. */
#include <assert.h>
#include <string.h>

#include "session_connection.h"

enum { DELAY_NS = 5000000, DELAY_NS_MAX = 200000000 };

#define NARROW_NS UINT64_C(7000000000) /* after the three seconds of mesh_starved_ranks */

enum state { CALLING, ANSWERED, FAILED, OVER };

struct mesh_call {
    struct mesh_call_config config;
    enum state state; /* ANSWERED: the connection says the rest */
    uint64_t now_ns, number;
    uint64_t give_up_ns, call_at_ns, delay_ns;
    uint64_t narrow_ns; /* since then the path seems not to carry what is to be sent; 0: it does */
    bool is_due, is_told;
    uint8_t cookie[16];
    enum mesh_session_why why; /* FAILED */
    uint8_t version;
    struct mesh_connection connection;
    void *memory;
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
};

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

size_t mesh_call_memory_bytes(void)
{
    return aligned(sizeof(struct mesh_call)) + aligned(mesh_connection_memory_bytes());
}

int mesh_call_init(struct mesh_call **out, const struct mesh_call_config *config, void *memory, size_t memory_bytes, uint64_t now_ns)
{
    struct mesh_call *call = memory;

    if (!config->nonce || config->version > UINT8_MAX || !memory || (uintptr_t)memory % 64 || memory_bytes < mesh_call_memory_bytes())
        return MESH_EINVAL;
    memset(call, 0, sizeof *call);
    call->config = *config;
    if (!call->config.version)
        call->config.version = MESH_WIRE_VERSION;
    call->now_ns = call->call_at_ns = now_ns;
    call->delay_ns = DELAY_NS;
    call->give_up_ns = config->timeout_ns < UINT64_MAX - now_ns ? now_ns + config->timeout_ns : UINT64_MAX;
    call->memory = (uint8_t *)memory + aligned(sizeof *call);
    *out = call;
    mesh_call_tick(call, now_ns);
    return 0;
}

static bool is_opening(const struct mesh_call *call)
{
    return call->state == CALLING || (call->state == ANSWERED && call->connection.state == MESH_CONNECTION_OPENING);
}

static void fail(struct mesh_call *call, enum mesh_session_why why)
{
    mesh_connection_free(&call->connection);
    call->state = FAILED;
    call->why = why;
}

/* After anything that may have ended the connection. */
static void sweep(struct mesh_call *call)
{
    if (call->state != ANSWERED)
        return;
    if (call->connection.state == MESH_CONNECTION_OPENING && call->connection.why) {
        call->version = call->connection.version;
        fail(call, call->connection.why == MESH_SESSION_SILENT ? MESH_SESSION_NO_ANSWER : call->connection.why);
    } else if (call->connection.state == MESH_CONNECTION_OVER) {
        call->state = OVER;
    }
    if (call->state == OVER)
        mesh_connection_free(&call->connection);
}

/* ---- answers ---- */

/* A cookie. Only one that is new is a reason not to wait for the next repetition. */
static void take_cookie(struct mesh_call *call, const struct mesh_call_answer *answer)
{
    if (!memcmp(call->cookie, answer->cookie, sizeof call->cookie))
        return;
    memcpy(call->cookie, answer->cookie, sizeof call->cookie);
    call->call_at_ns = call->now_ns;
    call->delay_ns = DELAY_NS;
}

static int take_answer(struct mesh_call *call, const struct mesh_call_answer *answer)
{
    const struct mesh_connection_config config = {.rank = 1,
                                                  .session = answer->session,
                                                  .records = MESH_SESSION_RECORDS,
                                                  .guard = call->config.guard,
                                                  .addr = call->config.addr,
                                                  .own = call->config.incarnation,
                                                  .other = answer->identity};
    int err;

    if (!answer->session) {
        take_cookie(call, answer);
        return 0;
    }
    err = mesh_connection_start(&call->connection, &config, call->memory, call->now_ns);
    if (!err)
        call->state = ANSWERED;
    return err;
}

static int take_refusal(struct mesh_call *call, const struct mesh_message *message)
{
    static const enum mesh_session_why why[] = {
        [MESH_CALL_VERSION] = MESH_SESSION_VERSION, [MESH_CALL_FULL] = MESH_SESSION_FULL, [MESH_CALL_ENDING] = MESH_SESSION_ENDING};

    call->version = message->header.version;
    fail(call, why[message->as.call_refuse.reason]);
    return 0;
}

static int receive_outside(struct mesh_call *call, size_t bytes, struct mesh_message *message)
{
    const struct mesh_session_guard *guard = call->config.guard;
    const uint8_t type = message->header.type;
    enum mesh_session_refusal ignored;
    int err;

    if ((type != MESH_TYPE_CALL_ANSWER && type != MESH_TYPE_CALL_REFUSE) || !message->header.number)
        return MESH_ETYPE;
    if (call->state != CALLING)
        return MESH_ESTATE;
    if (!mesh_session_has_mode(guard, call->packet, &ignored))
        return MESH_EAUTH;
    if (mesh_session_is_guarded(guard) && guard->open_outside(guard->app, call->packet, bytes))
        return MESH_EAUTH;
    if (message->header.version != call->config.version && type != MESH_TYPE_CALL_REFUSE)
        return MESH_EVERSION;
    err = mesh_wire_decode_body(call->packet, bytes, message);
    if (err)
        return err;
    if (type == MESH_TYPE_CALL_REFUSE)
        return message->as.call_refuse.nonce == call->config.nonce ? take_refusal(call, message) : MESH_EDUPLICATE;
    return message->as.call_answer.nonce == call->config.nonce ? take_answer(call, &message->as.call_answer) : MESH_EDUPLICATE;
}

static int receive_session(struct mesh_call *call, struct mesh_addr from, size_t bytes, const struct mesh_header *header)
{
    enum mesh_session_refusal ignored;
    int err;

    if (call->state != ANSWERED || header->epoch != (MESH_SESSION_EPOCH | call->connection.session))
        return MESH_EEPOCH;
    if (!mesh_session_has_mode(call->config.guard, call->packet, &ignored))
        return MESH_EAUTH;
    err = mesh_connection_open(&call->connection, call->packet, bytes);
    if (!err)
        err = mesh_connection_receive(&call->connection, call->now_ns, from, call->packet, bytes);
    sweep(call);
    return err;
}

int mesh_call_receive(struct mesh_call *call, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_message message;
    int err;

    assert(now_ns >= call->now_ns);
    call->now_ns = now_ns;
    if (!mesh_addr_equal(&from, &call->config.addr))
        return MESH_ESENDER;
    if (bytes > sizeof call->packet)
        return MESH_ERANGE;
    err = mesh_wire_decode_header(packet, bytes, &message.header);
    if (err)
        return err;
    memcpy(call->packet, packet, bytes);
    if (message.header.epoch & MESH_SESSION_EPOCH)
        return receive_session(call, from, bytes, &message.header);
    return message.header.epoch ? MESH_EEPOCH : receive_outside(call, bytes, &message);
}

/* ---- time ---- */

/* Pings are answered on a path that drops long datagrams, so nobody is silent, and a question would wait for its answer without end. */
static void look_at_path(struct mesh_call *call)
{
    if (call->connection.state != MESH_CONNECTION_UP || !mesh_starved_ranks(call->connection.mesh, call->now_ns)) {
        call->narrow_ns = 0;
        return;
    }
    if (!call->narrow_ns)
        call->narrow_ns = call->now_ns;
    if (call->now_ns - call->narrow_ns >= NARROW_NS && !call->connection.why)
        call->connection.why = MESH_SESSION_NARROW;
}

void mesh_call_tick(struct mesh_call *call, uint64_t now_ns)
{
    assert(now_ns >= call->now_ns);
    call->now_ns = now_ns;
    if (is_opening(call) && now_ns >= call->give_up_ns)
        fail(call, MESH_SESSION_NO_ANSWER);
    if (call->state == CALLING && now_ns >= call->call_at_ns) {
        call->is_due = true;
        call->call_at_ns = now_ns + call->delay_ns;
        call->delay_ns = call->delay_ns * 2 < DELAY_NS_MAX ? call->delay_ns * 2 : DELAY_NS_MAX;
    }
    if (call->state == ANSWERED) {
        mesh_connection_tick(&call->connection, now_ns);
        look_at_path(call);
        sweep(call);
    }
}

uint64_t mesh_call_timeout(const struct mesh_call *call)
{
    uint64_t due_ns = UINT64_MAX;

    if (call->state == CALLING)
        due_ns = call->call_at_ns;
    else if (call->state == ANSWERED)
        due_ns = mesh_connection_timeout(&call->connection);
    return is_opening(call) && call->give_up_ns < due_ns ? call->give_up_ns : due_ns;
}

uint64_t mesh_call_heard_ns(const struct mesh_call *call)
{
    return call->state == ANSWERED ? call->connection.heard_ns : 0;
}

/* ---- the application ---- */

int mesh_call_send(struct mesh_call *call, uint64_t now_ns, const uint8_t *record, size_t record_bytes)
{
    assert(now_ns >= call->now_ns);
    call->now_ns = now_ns;
    return call->state == ANSWERED ? mesh_connection_send(&call->connection, now_ns, record, record_bytes) : MESH_ESTATE;
}

void mesh_call_close(struct mesh_call *call, uint64_t now_ns)
{
    assert(now_ns >= call->now_ns);
    call->now_ns = now_ns;
    if (call->state == CALLING)
        call->state = OVER;
    if (call->state == ANSWERED)
        mesh_connection_close(&call->connection, now_ns);
    sweep(call);
}

bool mesh_call_is_over(const struct mesh_call *call)
{
    return call->state == OVER || call->state == FAILED;
}

bool mesh_call_next_event(struct mesh_call *call, uint64_t now_ns, struct mesh_session_event *event)
{
    assert(now_ns >= call->now_ns);
    call->now_ns = now_ns;
    if (call->state == ANSWERED && (call->connection.state == MESH_CONNECTION_OPENING || call->connection.state == MESH_CONNECTION_UP)) {
        const bool has_event = mesh_connection_next_event(&call->connection, event);

        sweep(call);
        if (has_event)
            return true;
    }
    if (call->state != FAILED || call->is_told)
        return false;
    call->is_told = true;
    *event =
        (struct mesh_session_event){.type = MESH_SESSION_FAILED, .addr = call->config.addr, .why = call->why, .version = call->version};
    return true;
}

static size_t write_call(struct mesh_call *call, uint8_t *packet, size_t capacity)
{
    struct mesh_message message = {.header.type = MESH_TYPE_CALL};
    struct mesh_calling *calling = &message.as.calling;

    memcpy(calling->incarnation, call->config.incarnation, sizeof calling->incarnation);
    calling->nonce = call->config.nonce;
    memcpy(calling->cookie, call->cookie, sizeof calling->cookie);
    const size_t bytes = mesh_session_write_outside(&message, call->config.version, &call->number, call->now_ns, packet, capacity);

    return mesh_session_seal_outside(call->config.guard, packet, bytes) ? bytes : 0;
}

size_t mesh_call_next_datagram(struct mesh_call *call, uint64_t now_ns, uint8_t *packet, size_t capacity)
{
    size_t bytes = 0;

    assert(now_ns >= call->now_ns);
    assert(capacity >= MESH_SESSION_DATAGRAM_BYTES);
    call->now_ns = now_ns;
    if (call->state == CALLING && call->is_due) {
        call->is_due = false;
        bytes = write_call(call, packet, capacity);
    } else if (call->state == ANSWERED) {
        do
            bytes = mesh_connection_next_datagram(&call->connection, now_ns, packet, capacity);
        while (bytes && !mesh_connection_seal(&call->connection, packet, bytes));
        sweep(call);
    }
    return bytes;
}
