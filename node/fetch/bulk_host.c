#include "bulk_host.h"

#include <assert.h>
#include <string.h>

enum {
    RUN_BYTES_MAX = 256 * 1024,    /* per call */
    BUSY_BYTES_PER_MS = 32 * 1000, /* while tokens are generated: a quarter of what a link of 1 Gb/s carries */
    AGAIN_NS = 5000000,
    RECORD_BYTES_MAX = BULK_DATA_BYTES_MAX + 64,
    ANSWERS_BYTES = BULK_OPEN_MAX * MESH_DATAGRAM_BYTES_MIN /* what data leaves free: a REFUSED or END of each GET has a datagram */
};

void bulk_provide(struct bulk_host *host, enum bulk_resource resource, bulk_read_function *read, void *app)
{
    assert(resource > 0 && resource < BULK_RESOURCES);
    host->source[resource] = (struct bulk_source){read, app};
}

/* ---- GETs ---- */

static void free_answer(struct bulk_host *host, struct bulk_answer *answer)
{
    answer->session = 0;
    host->count--;
}

static void refuse(struct bulk_answer *answer, const char *why)
{
    answer->is_over = true;
    answer->why = why != NULL ? why : "this node cannot give it: ask another one";
}

static void take_get(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, uint32_t session, bool may_get,
                     const struct bulk_record *get)
{
    static const char full[] = "this node serves as many at once as it can: ask another one, or later";
    const struct bulk_record no = {.kind = BULK_REFUSED, .tag = get->tag, .data = (const uint8_t *)full, .data_bytes = sizeof full - 1};
    uint8_t record[RECORD_BYTES_MAX];
    struct bulk_answer *place = NULL;
    unsigned own = 0;

    for (unsigned i = 0; i < BULK_GETS_MAX; i++) {
        if (host->answer[i].session == 0)
            place = &host->answer[i];
        own += host->answer[i].session == session;
    }
    if (!may_get || place == NULL || own == BULK_OPEN_MAX) {
        mesh_sessions_send(sessions, now_ns, session, record, bulk_write(&no, record));
        return;
    }
    *place = (struct bulk_answer){.session = session, .tag = get->tag, .want = get->want, .next = get->want.offset};
    place->end = get->want.bytes == BULK_TO_END ? UINT64_MAX : get->want.offset + get->want.bytes;
    host->count++;
}

int bulk_host_take(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, uint32_t session, bool may_get,
                   const uint8_t *record, size_t bytes)
{
    struct bulk_record got;

    if (bulk_read(&got, record, bytes) < 0 || (got.kind != BULK_GET && got.kind != BULK_STOP))
        return -1;
    if (got.kind == BULK_GET)
        take_get(host, sessions, now_ns, session, may_get, &got);
    for (unsigned i = 0; got.kind == BULK_STOP && i < BULK_GETS_MAX; i++)
        if (host->answer[i].session == session && host->answer[i].tag == got.tag)
            host->answer[i].is_over = true; /* END gives the offset at which it stopped */
    return 0;
}

bool bulk_host_has(const struct bulk_host *host, uint32_t session)
{
    for (unsigned i = 0; i < BULK_GETS_MAX; i++)
        if (host->answer[i].session == session)
            return true;
    return false;
}

void bulk_host_drop(struct bulk_host *host, uint32_t session)
{
    for (unsigned i = 0; i < BULK_GETS_MAX; i++)
        if (host->answer[i].session == session && session != 0)
            free_answer(host, &host->answer[i]);
}

/* ---- answering ---- */

/* False: the queue is full, or the session gone. */
static bool send_record(struct mesh_sessions *sessions, uint64_t now_ns, const struct bulk_answer *answer, const struct bulk_record *reply)
{
    static uint8_t record[RECORD_BYTES_MAX];

    return mesh_sessions_send(sessions, now_ns, answer->session, record, bulk_write(reply, record)) == MESH_OK;
}

static void reply_end(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, struct bulk_answer *answer)
{
    struct bulk_record reply = {.kind = answer->why != NULL ? BULK_REFUSED : BULK_END, .tag = answer->tag, .offset = answer->next};

    if (answer->why != NULL) {
        reply.data = (const uint8_t *)answer->why;
        reply.data_bytes = strlen(answer->why);
    }
    if (send_record(sessions, now_ns, answer, &reply))
        free_answer(host, answer);
}

/* Send at most one record; returns the bytes it took from the budget. */
static size_t answer_more(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, struct bulk_answer *answer)
{
    const struct bulk_source *source = &host->source[answer->want.resource < BULK_RESOURCES ? answer->want.resource : 0];
    static uint8_t data[BULK_DATA_BYTES_MAX];
    size_t bytes = answer->end - answer->next < sizeof data ? (size_t)(answer->end - answer->next) : sizeof data;
    struct bulk_record reply = {.kind = BULK_DATA, .tag = answer->tag, .offset = answer->next, .data = data};
    const char *why = NULL;

    if (source->read == NULL) {
        refuse(answer, "this node does not have it: ask another one");
        return 0;
    }
    switch (bytes == 0 ? BULK_READ_DATA : source->read(source->app, &answer->want, answer->next, data, &bytes, &why)) {
    case BULK_READ_LATER:
        answer->again_ns = now_ns + AGAIN_NS;
        return 0;
    case BULK_READ_REFUSED:
        refuse(answer, why);
        return 0;
    default:
        break;
    }
    reply.data_bytes = bytes;
    if (bytes == 0)
        answer->is_over = true;
    else if (send_record(sessions, now_ns, answer, &reply))
        answer->next += bytes;
    host->sent_bytes += bytes;
    return bytes;
}

/* Whether there is room for data. A GET is refused at once, so a refusal that found no room would be lost, and its client would wait. */
static bool can_answer(const struct bulk_answer *answer, struct mesh_sessions *sessions)
{
    return answer->session != 0 && mesh_sessions_room_bytes(sessions, answer->session) >= RECORD_BYTES_MAX + ANSWERS_BYTES;
}

static void fill_budget(struct bulk_host *host, uint64_t now_ns, bool is_busy)
{
    const uint64_t most = is_busy ? BULK_DATA_BYTES_MAX : RUN_BYTES_MAX;
    const uint64_t past_ns = now_ns - host->filled_ns < 1000000000 ? now_ns - host->filled_ns : 1000000000;

    host->allowed_bytes = is_busy ? host->allowed_bytes + past_ns * BUSY_BYTES_PER_MS / 1000000 : most;
    if (host->allowed_bytes > most)
        host->allowed_bytes = most;
    host->filled_ns = now_ns;
}

void bulk_host_run(struct bulk_host *host, struct mesh_sessions *sessions, uint64_t now_ns, bool is_busy)
{
    unsigned idle = 0;

    if (host->count == 0)
        return;
    fill_budget(host, now_ns, is_busy);
    for (; idle < BULK_GETS_MAX && host->allowed_bytes >= BULK_DATA_BYTES_MAX; host->turn++) {
        struct bulk_answer *answer = &host->answer[host->turn % BULK_GETS_MAX];
        size_t bytes = 0;

        if (can_answer(answer, sessions) && !answer->is_over && answer->again_ns <= now_ns)
            bytes = answer_more(host, sessions, now_ns, answer);
        if (answer->session != 0 && answer->is_over)
            reply_end(host, sessions, now_ns, answer);
        host->allowed_bytes -= bytes;
        idle = bytes > 0 ? 0 : idle + 1;
    }
}

uint64_t bulk_host_due_ns(const struct bulk_host *host, struct mesh_sessions *sessions, bool is_busy)
{
    const uint64_t missing = host->allowed_bytes < BULK_DATA_BYTES_MAX ? BULK_DATA_BYTES_MAX - host->allowed_bytes : 0;
    const uint64_t fill_ns = host->filled_ns + (is_busy ? missing * 1000000 / BUSY_BYTES_PER_MS + 1000 : 0);
    uint64_t due_ns = UINT64_MAX;

    for (unsigned i = 0; host->count > 0 && i < BULK_GETS_MAX; i++) {
        const struct bulk_answer *answer = &host->answer[i];
        const uint64_t own_ns = answer->again_ns > fill_ns ? answer->again_ns : fill_ns;

        if (can_answer(answer, sessions) && own_ns < due_ns)
            due_ns = own_ns;
    }
    return due_ns;
}
