#include "intake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct intake_node {
    struct intake_node *next;
    struct arriving arriving; /* complete once the node is in the list */
    bool is_taken;
    uint32_t token[];
};

static void lock(struct intake *intake)
{
    while (atomic_flag_test_and_set_explicit(&intake->lock, memory_order_acquire))
        ;
}

static void unlock(struct intake *intake)
{
    atomic_flag_clear_explicit(&intake->lock, memory_order_release);
}

void intake_init(struct intake *intake, uint32_t ctx, uint32_t vocab)
{
    *intake = (struct intake){.ctx = ctx, .vocab = vocab};
    atomic_flag_clear(&intake->lock);
}

void intake_release(struct intake *intake)
{
    for (struct intake_node *node = intake->first, *next; node != NULL; node = next) {
        next = node->next;
        free(node);
    }
    for (uint16_t r = 0; r < MESH_RANKS_MAX; r++)
        free(intake->arriving[r]);
    *intake = (struct intake){0};
}

/* ---- the list ---- */

static struct intake_node *make_node(const struct request *request)
{
    struct intake_node *node = malloc(sizeof *node + request->prompt_count * sizeof *node->token);

    if (node == NULL)
        return NULL;
    *node = (struct intake_node){.arriving = {.request = *request, .token = node->token}};
    node->arriving.request.prompt = node->token;
    return node;
}

/* The pointer to the node with this id, or the one at the end of the list. Under the lock. */
static struct intake_node **find(struct intake *intake, uint64_t id)
{
    struct intake_node **at = &intake->first;

    while (*at != NULL && (*at)->arriving.request.id != id)
        at = &(*at)->next;
    return at;
}

static void count(struct intake *intake, const struct intake_node *node, int by)
{
    uint16_t *waiting = &intake->waiting[node->arriving.request.origin];

    *waiting = (uint16_t)(*waiting + by);
    if (!node->is_taken)
        atomic_fetch_add_explicit(&intake->fresh, (uint32_t)by, memory_order_relaxed);
}

/* Takes the node in any case. False: too many. */
static bool add(struct intake *intake, struct intake_node *node)
{
    struct intake_node *unwanted = node;
    bool has_room = true;

    lock(intake);
    struct intake_node **at = find(intake, node->arriving.request.id);
    if (*at == NULL && intake->waiting[node->arriving.request.origin] >= INTAKE_WAITING_MAX) {
        has_room = false;
    } else if (*at == NULL) {
        *at = node;
        count(intake, node, 1);
        unwanted = NULL;
    } else if (!(*at)->is_taken && (*at)->arriving.request.prompt_count < node->arriving.request.prompt_count) {
        unwanted = *at;
        count(intake, unwanted, -1);
        node->next = unwanted->next;
        *at = node;
        count(intake, node, 1);
    }
    unlock(intake);
    free(unwanted);
    return has_room;
}

bool intake_submit(struct intake *intake, const struct request *request, uint16_t origin)
{
    struct intake_node *node = make_node(request);

    assert(origin < MESH_RANKS_MAX);
    if (node == NULL)
        return false;
    memcpy(node->token, request->prompt, request->prompt_count * sizeof *node->token);
    node->arriving.count = request->prompt_count;
    node->arriving.request.origin = origin;
    return add(intake, node);
}

const struct request *intake_take(struct intake *intake)
{
    struct intake_node *node;

    if (atomic_load_explicit(&intake->fresh, memory_order_relaxed) == 0)
        return NULL;
    lock(intake);
    node = intake->first;
    while (node != NULL && node->is_taken)
        node = node->next;
    if (node != NULL) {
        node->is_taken = true;
        atomic_fetch_sub_explicit(&intake->fresh, 1, memory_order_relaxed);
    }
    unlock(intake);
    return node == NULL ? NULL : &node->arriving.request;
}

enum intake_state intake_state(struct intake *intake, uint64_t id, uint16_t *origin)
{
    enum intake_state state = INTAKE_ABSENT;

    lock(intake);
    const struct intake_node *node = *find(intake, id);
    if (node != NULL) {
        state = node->is_taken ? INTAKE_TAKEN : INTAKE_FRESH;
        *origin = node->arriving.request.origin;
    }
    unlock(intake);
    return state;
}

bool intake_remove(struct intake *intake, uint64_t id)
{
    lock(intake);
    struct intake_node **at = find(intake, id), *node = *at;
    if (node != NULL) {
        count(intake, node, -1);
        *at = node->next;
    }
    unlock(intake);
    free(node);
    return node != NULL;
}

int intake_save(struct intake *intake, struct saved *saved)
{
    int err = 0;

    lock(intake);
    for (const struct intake_node *node = intake->first; node != NULL && err == 0; node = node->next)
        err = saved_add(saved, &node->arriving.request);
    unlock(intake);
    return err;
}

/* ---- records of other ranks ---- */

static int take_request(struct intake *intake, uint16_t from, struct bytes *in, uint64_t *refused)
{
    struct request request;

    if (record_get_request(in, &request) < 0)
        return -1;
    /* An earlier one that is still incomplete was given up. */
    free(intake->arriving[from]);
    request.origin = from;
    intake->arriving[from] = request.prompt_count > intake->ctx ? NULL : make_node(&request);
    if (intake->arriving[from] == NULL)
        *refused = request.id;
    return 0;
}

static int take_tokens(struct intake *intake, uint16_t from, struct bytes *in, uint64_t *refused)
{
    struct intake_node *node = intake->arriving[from];
    struct fail fail;

    if (node == NULL || record_get_tokens(in, &node->arriving) < 0)
        return -1;
    if (!arriving_is_complete(&node->arriving))
        return 0;
    uint64_t id = node->arriving.request.id;
    intake->arriving[from] = NULL;
    if (request_check(&node->arriving.request, intake->ctx, intake->vocab, &fail) < 0) {
        free(node);
        *refused = id;
    } else if (!add(intake, node)) {
        *refused = id;
    }
    return 0;
}

int intake_take_record(struct intake *intake, uint16_t from, const uint8_t *record, size_t bytes, uint64_t *refused)
{
    struct bytes in = bytes_reader(record, bytes);
    uint64_t id;
    bool is_refused;

    assert(from < MESH_RANKS_MAX);
    *refused = 0;
    switch (bytes_get_u8(&in)) {
    case RECORD_REQUEST:
        return take_request(intake, from, &in, refused);
    case RECORD_TOKENS:
        return take_tokens(intake, from, &in, refused);
    case RECORD_CANCEL:
        if (record_get_cancel(&in, &id, &is_refused) < 0)
            return -1;
        /* Cancels beyond the table's size are dropped: those requests run to their natural end. */
        intake_cancel(intake, id);
        return 0;
    default:
        return -1;
    }
}

/* ---- cancels ---- */

bool intake_cancel(struct intake *intake, uint64_t id)
{
    assert(id != 0);
    for (uint32_t i = 0; i < INTAKE_CANCELS_MAX; i++) {
        uint64_t there = 0;

        if (atomic_load(&intake->cancel[i]) == id)
            return true;
        atomic_fetch_add(&intake->cancels, 1);
        if (atomic_compare_exchange_strong(&intake->cancel[i], &there, id))
            return true;
        atomic_fetch_sub(&intake->cancels, 1);
    }
    return false;
}

uint64_t intake_cancel_at(struct intake *intake, uint32_t cell)
{
    return atomic_load(&intake->cancel[cell]);
}

void intake_cancel_done(struct intake *intake, uint32_t cell)
{
    atomic_store(&intake->cancel[cell], 0);
    atomic_fetch_sub(&intake->cancels, 1);
}
