/* Calls of new clients: cookies, answers, and the opening of sessions.
 *
 * Invariant: until a call has brought back the cookie that its own address was given, nothing of it is kept but an answer that waits to be
 * sent, in a short queue. An incarnation opens one session, ever: a closed one is remembered as long as its cookie is valid. */
#include <string.h>

#include "mesh/program/byte_order.h"
#include "session_parts.h"

enum { COOKIE_BYTES = 16 };

/* ---- what is drawn ---- */

static uint8_t *put(uint8_t *at, const void *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

static void draw(struct mesh_sessions *s, uint8_t out[16])
{
    uint8_t input[64], *at = put(input, "session", 7);

    at = put(at, s->config.secret, sizeof s->config.secret);
    s->drawn++;
    at = put(at, &s->drawn, sizeof s->drawn);
    s->config.hash(input, (size_t)(at - input), out);
}

static void make_cookie(const struct mesh_sessions *s, const struct mesh_addr *addr, const uint8_t *client, uint64_t window,
                        uint8_t out[COOKIE_BYTES])
{
    uint8_t input[128], *at = put(input, "cookie", 6);

    at = put(at, s->config.secret, sizeof s->config.secret);
    at = put(at, addr->ip, sizeof addr->ip);
    at = put(at, &addr->port, sizeof addr->port);
    at = put(at, client, MESH_INCARNATION_BYTES);
    at = put(at, &window, sizeof window);
    s->config.hash(input, (size_t)(at - input), out);
}

/* Takes the same time wherever they differ. */
static bool is_equal(const uint8_t *a, const uint8_t *b, size_t count)
{
    unsigned differ = 0;

    for (size_t i = 0; i < count; i++)
        differ |= (unsigned)(a[i] ^ b[i]);
    return !differ;
}

static bool is_cookie(const struct mesh_sessions *s, const struct mesh_addr *addr, const struct mesh_calling *call)
{
    const uint64_t window = s->now_ns / MESH_COOKIE_WINDOW_NS;
    uint8_t now[COOKIE_BYTES], before[COOKIE_BYTES];
    bool is_now, is_before; /* both are compared, so that the time taken tells nothing */

    make_cookie(s, addr, call->incarnation, window, now);
    make_cookie(s, addr, call->incarnation, window - 1, before);
    is_now = is_equal(call->cookie, now, sizeof now);
    is_before = is_equal(call->cookie, before, sizeof before);
    return is_now || is_before;
}

/* ---- the table ---- */

static struct mesh_session_slot *find_client(struct mesh_sessions *s, const uint8_t *incarnation)
{
    for (unsigned i = 0; i < s->config.capacity; i++)
        if (s->slots[i].connection.state != MESH_CONNECTION_FREE && !memcmp(s->slots[i].client, incarnation, MESH_INCARNATION_BYTES))
            return &s->slots[i];
    return NULL;
}

static struct mesh_session_slot *find_free(struct mesh_sessions *s)
{
    for (unsigned i = 0; i < s->config.capacity; i++)
        if (s->slots[i].connection.state == MESH_CONNECTION_FREE)
            return &s->slots[i];
    return NULL;
}

static void forget_past(struct mesh_sessions *s)
{
    while (s->past_count && s->past[s->past_first].until_ns <= s->now_ns) {
        s->past_first = (s->past_first + 1) % MESH_SESSION_PAST;
        s->past_count--;
    }
}

static bool is_past(const struct mesh_sessions *s, const uint8_t *incarnation)
{
    for (unsigned i = 0; i < s->past_count; i++)
        if (!memcmp(s->past[(s->past_first + i) % MESH_SESSION_PAST].incarnation, incarnation, MESH_INCARNATION_BYTES))
            return true;
    return false;
}

/* Sessions that are open now will be remembered, too, so there must be room for them. */
static bool has_room_for_past(const struct mesh_sessions *s)
{
    return s->past_count + s->stats.open_now < MESH_SESSION_PAST;
}

/* ---- answers ---- */

static struct mesh_session_answer *push_answer(struct mesh_sessions *s, const struct mesh_addr *to, uint8_t type)
{
    struct mesh_session_answer *answer;

    if (s->answer_count == MESH_SESSION_ANSWERS) {
        s->stats.answers_lost++;
        return NULL;
    }
    answer = &s->answers[(s->answer_first + s->answer_count++) % MESH_SESSION_ANSWERS];
    memset(answer, 0, sizeof *answer);
    answer->to = *to;
    answer->type = type;
    return answer;
}

static void answer_refusal(struct mesh_sessions *s, const struct mesh_addr *to, uint64_t nonce, enum mesh_call_reason reason)
{
    struct mesh_session_answer *answer = push_answer(s, to, MESH_TYPE_CALL_REFUSE);

    if (!answer)
        return;
    memcpy(answer->as.refuse.incarnation, s->config.incarnation, sizeof answer->as.refuse.incarnation);
    answer->as.refuse.nonce = nonce;
    answer->as.refuse.reason = (uint16_t)reason;
}

static void answer_cookie(struct mesh_sessions *s, const struct mesh_addr *to, const struct mesh_calling *call)
{
    struct mesh_session_answer *answer = push_answer(s, to, MESH_TYPE_CALL_ANSWER);

    if (!answer)
        return;
    memcpy(answer->as.answer.incarnation, s->config.incarnation, sizeof answer->as.answer.incarnation);
    answer->as.answer.nonce = call->nonce;
    make_cookie(s, to, call->incarnation, s->now_ns / MESH_COOKIE_WINDOW_NS, answer->as.answer.cookie);
    s->stats.cookies++;
}

static void answer_session(struct mesh_sessions *s, const struct mesh_session_slot *slot)
{
    struct mesh_session_answer *answer = push_answer(s, &slot->connection.addr, MESH_TYPE_CALL_ANSWER);

    if (!answer)
        return;
    memcpy(answer->as.answer.incarnation, s->config.incarnation, sizeof answer->as.answer.incarnation);
    answer->as.answer.nonce = slot->nonce;
    memcpy(answer->as.answer.identity, slot->identity, sizeof slot->identity);
    answer->as.answer.session = slot->connection.session;
}

/* ---- calls ---- */

static uint32_t draw_session(struct mesh_sessions *s)
{
    uint8_t random[16];
    uint32_t session;

    do {
        draw(s, random);
        session = (uint32_t)mesh_little_get(random, 4) & INT32_MAX;
    } while (!session || mesh_sessions_find(s, session));
    return session;
}

static int open_session(struct mesh_sessions *s, struct mesh_session_slot *slot, const struct mesh_addr *from,
                        const struct mesh_calling *call)
{
    struct mesh_connection_config config = {.rank = 0,
                                            .slot = (unsigned)(slot - s->slots),
                                            .session = draw_session(s),
                                            .records = s->config.records,
                                            .guard = s->config.guard,
                                            .addr = *from,
                                            .own = slot->identity,
                                            .other = call->incarnation};
    int err;

    draw(s, slot->identity);
    err = mesh_connection_start(&slot->connection, &config, slot->memory, s->now_ns);
    if (err)
        return err;
    memcpy(slot->client, call->incarnation, sizeof slot->client);
    slot->nonce = call->nonce;
    slot->was_up = false;
    s->stats.open_now++;
    answer_session(s, slot);
    return 0;
}

static int receive_call(struct mesh_sessions *s, const struct mesh_addr *from, const struct mesh_calling *call)
{
    static const uint8_t none[COOKIE_BYTES];
    struct mesh_session_slot *slot;

    if (!is_cookie(s, from, call)) {
        answer_cookie(s, from, call);
        return memcmp(call->cookie, none, sizeof none) ? mesh_sessions_refuse(s, MESH_SESSION_BY_COOKIE, MESH_EAUTH) : 0;
    }
    forget_past(s);
    slot = find_client(s, call->incarnation);
    if (slot) {
        if (slot->nonce != call->nonce || !mesh_addr_equal(&slot->connection.addr, from))
            return mesh_sessions_refuse(s, MESH_SESSION_BY_REPLAY, MESH_EDUPLICATE);
        answer_session(s, slot); /* the answer was lost, or this is the same call again */
        return 0;
    }
    if (is_past(s, call->incarnation))
        return mesh_sessions_refuse(s, MESH_SESSION_BY_REPLAY, MESH_EDUPLICATE);
    if (s->is_ending) {
        answer_refusal(s, from, call->nonce, MESH_CALL_ENDING);
        return mesh_sessions_refuse(s, MESH_SESSION_BY_ENDING, MESH_EREFUSED);
    }
    slot = find_free(s);
    if (!slot || !has_room_for_past(s)) {
        answer_refusal(s, from, call->nonce, MESH_CALL_FULL);
        return mesh_sessions_refuse(s, MESH_SESSION_BY_FULL, MESH_EREFUSED);
    }
    return open_session(s, slot, from, call);
}

/* In every version the nonce is at the same place, and the answer fits. */
static int refuse_version(struct mesh_sessions *s, const struct mesh_addr *from, size_t bytes)
{
    const uint8_t *at = s->packet + MESH_HEADER_BYTES + offsetof(struct mesh_calling_bytes, nonce);

    if (bytes >= MESH_HEADER_BYTES + sizeof(struct mesh_call_refuse_bytes)) {
        const uint64_t nonce = mesh_little_get(at, 8);

        answer_refusal(s, from, nonce ? nonce : 1, MESH_CALL_VERSION);
    }
    return mesh_sessions_refuse(s, MESH_SESSION_BY_VERSION, MESH_EVERSION);
}

int mesh_sessions_receive_outside(struct mesh_sessions *s, const struct mesh_addr *from, size_t bytes, struct mesh_message *message,
                                  bool *is_opened)
{
    const struct mesh_session_guard *guard = s->config.guard;
    enum mesh_session_refusal refusal;
    int err;

    if (message->header.type != MESH_TYPE_CALL || !message->header.number)
        return mesh_sessions_refuse(s, MESH_SESSION_BY_FORM, MESH_ETYPE);
    if (!mesh_session_has_mode(guard, s->packet, &refusal))
        return mesh_sessions_refuse(s, refusal, MESH_EAUTH);
    if (mesh_session_is_guarded(guard) && guard->open_outside(guard->app, s->packet, bytes))
        return mesh_sessions_refuse(s, MESH_SESSION_BY_TAG, MESH_EAUTH);
    *is_opened = true;
    if (message->header.version != s->config.version)
        return refuse_version(s, from, bytes);
    err = mesh_wire_decode_body(s->packet, bytes, message);
    if (err)
        return mesh_sessions_refuse(s, MESH_SESSION_BY_FORM, err);
    return receive_call(s, from, &message->as.calling);
}

size_t mesh_sessions_write_answer(struct mesh_sessions *s, uint8_t *packet, size_t capacity, struct mesh_addr *to)
{
    const struct mesh_session_answer *answer = &s->answers[s->answer_first];
    struct mesh_message message = {.header.type = answer->type};

    if (answer->type == MESH_TYPE_CALL_ANSWER)
        message.as.call_answer = answer->as.answer;
    else
        message.as.call_refuse = answer->as.refuse;
    *to = answer->to;
    s->answer_first = (s->answer_first + 1) % MESH_SESSION_ANSWERS;
    s->answer_count--;
    return mesh_session_write_outside(&message, s->config.version, &s->number, s->now_ns, packet, capacity);
}
