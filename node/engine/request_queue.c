#include "request_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/spin.h"

void request_queue_init(struct request_queue *queue, uint32_t ctx, uint32_t vocab)
{
    *queue = (struct request_queue){.ctx = ctx, .vocab = vocab};
    atomic_flag_clear(&queue->lock);
}

void request_queue_release(struct request_queue *queue)
{
    for (struct request_queue_node *node = queue->first, *next; node != NULL; node = next) {
        next = node->next;
        free(node);
    }
    for (uint16_t r = 0; r < MESH_RANKS_MAX; r++)
        free(queue->arriving[r]);
    *queue = (struct request_queue){0};
}

/* ---- the list ---- */

static struct request_queue_node *make_node(const struct request *request)
{
    struct request_queue_node *node = malloc(sizeof *node + request->prompt_count * sizeof *node->token);

    if (node == NULL)
        return NULL;
    *node = (struct request_queue_node){.arriving = {.request = *request, .token = node->token}};
    node->arriving.request.prompt = node->token;
    return node;
}

/* The pointer to the node with this id, or the one at the end of the list. Under the lock. */
static struct request_queue_node **find(struct request_queue *queue, uint64_t id)
{
    struct request_queue_node **at = &queue->first;

    while (*at != NULL && (*at)->arriving.request.id != id)
        at = &(*at)->next;
    return at;
}

static void count(struct request_queue *queue, const struct request_queue_node *node, int by)
{
    uint16_t *waiting = &queue->waiting[node->arriving.request.origin];

    *waiting = (uint16_t)(*waiting + by);
    if (!node->is_taken)
        atomic_fetch_add_explicit(&queue->fresh, (uint32_t)by, memory_order_relaxed);
}

/* Takes the node in any case. False: too many. */
static bool add(struct request_queue *queue, struct request_queue_node *node)
{
    struct request_queue_node *unwanted = node;
    bool has_room = true;

    spin_lock(&queue->lock);
    struct request_queue_node **at = find(queue, node->arriving.request.id);
    if (*at == NULL && queue->waiting[node->arriving.request.origin] >= REQUEST_QUEUE_WAITING_MAX) {
        has_room = false;
    } else if (*at == NULL) {
        *at = node;
        count(queue, node, 1);
        unwanted = NULL;
    } else if (!(*at)->is_taken && (*at)->arriving.request.prompt_count < node->arriving.request.prompt_count) {
        unwanted = *at;
        count(queue, unwanted, -1);
        node->next = unwanted->next;
        *at = node;
        count(queue, node, 1);
    }
    spin_unlock(&queue->lock);
    free(unwanted);
    return has_room;
}

bool request_queue_submit(struct request_queue *queue, const struct request *request, uint16_t origin)
{
    struct request_queue_node *node = make_node(request);

    assert(origin < MESH_RANKS_MAX);
    if (node == NULL)
        return false;
    memcpy(node->token, request->prompt, request->prompt_count * sizeof *node->token);
    node->arriving.count = request->prompt_count;
    node->arriving.request.origin = origin;
    return add(queue, node);
}

const struct request *request_queue_take(struct request_queue *queue)
{
    struct request_queue_node *node;

    if (atomic_load_explicit(&queue->fresh, memory_order_relaxed) == 0)
        return NULL;
    spin_lock(&queue->lock);
    node = queue->first;
    while (node != NULL && node->is_taken)
        node = node->next;
    if (node != NULL) {
        node->is_taken = true;
        atomic_fetch_sub_explicit(&queue->fresh, 1, memory_order_relaxed);
    }
    spin_unlock(&queue->lock);
    return node == NULL ? NULL : &node->arriving.request;
}

enum request_queue_state request_queue_state(struct request_queue *queue, uint64_t id, uint16_t *origin)
{
    enum request_queue_state state = REQUEST_QUEUE_ABSENT;

    spin_lock(&queue->lock);
    const struct request_queue_node *node = *find(queue, id);
    if (node != NULL) {
        state = node->is_taken ? REQUEST_QUEUE_TAKEN : REQUEST_QUEUE_FRESH;
        *origin = node->arriving.request.origin;
    }
    spin_unlock(&queue->lock);
    return state;
}

bool request_queue_remove(struct request_queue *queue, uint64_t id)
{
    spin_lock(&queue->lock);
    struct request_queue_node **at = find(queue, id), *node = *at;
    if (node != NULL) {
        count(queue, node, -1);
        *at = node->next;
    }
    spin_unlock(&queue->lock);
    free(node);
    return node != NULL;
}

/* ---- records of other ranks ---- */

static int take_request(struct request_queue *queue, uint16_t from, struct bytes *in, uint64_t *refused)
{
    struct request request;

    if (record_get_request(in, &request) < 0)
        return -1;
    /* An earlier one that is still incomplete was given up. */
    free(queue->arriving[from]);
    request.origin = from;
    queue->arriving[from] = request.prompt_count > queue->ctx ? NULL : make_node(&request);
    if (queue->arriving[from] == NULL)
        *refused = request.id;
    return 0;
}

static int take_tokens(struct request_queue *queue, uint16_t from, struct bytes *in, uint64_t *refused)
{
    struct request_queue_node *node = queue->arriving[from];
    struct fail fail;

    if (node == NULL || record_get_tokens(in, &node->arriving) < 0)
        return -1;
    if (!arriving_is_complete(&node->arriving))
        return 0;
    uint64_t id = node->arriving.request.id;
    queue->arriving[from] = NULL;
    if (request_check(&node->arriving.request, queue->ctx, queue->vocab, &fail) < 0) {
        free(node);
        *refused = id;
    } else if (!add(queue, node)) {
        *refused = id;
    }
    return 0;
}

int request_queue_take_record(struct request_queue *queue, uint16_t from, const uint8_t *record, size_t bytes, uint64_t *refused)
{
    struct bytes in = bytes_reader(record, bytes);
    uint64_t id;
    bool is_refused;

    assert(from < MESH_RANKS_MAX);
    *refused = 0;
    switch (bytes_get_u8(&in)) {
    case RECORD_REQUEST:
        return take_request(queue, from, &in, refused);
    case RECORD_TOKENS:
        return take_tokens(queue, from, &in, refused);
    case RECORD_CANCEL:
        if (record_get_cancel(&in, &id, &is_refused) < 0)
            return -1;
        /* Cancels beyond the table's size are dropped: those requests run to their natural end. */
        request_queue_cancel(queue, id);
        return 0;
    default:
        return -1;
    }
}

/* ---- cancels ---- */

bool request_queue_cancel(struct request_queue *queue, uint64_t id)
{
    assert(id != 0);
    for (uint32_t i = 0; i < REQUEST_QUEUE_CANCELS_MAX; i++) {
        uint64_t there = 0;

        if (atomic_load(&queue->cancel[i]) == id)
            return true;
        atomic_fetch_add(&queue->cancels, 1);
        if (atomic_compare_exchange_strong(&queue->cancel[i], &there, id))
            return true;
        atomic_fetch_sub(&queue->cancels, 1);
    }
    return false;
}

uint64_t request_queue_cancel_at(struct request_queue *queue, uint32_t cell)
{
    return atomic_load(&queue->cancel[cell]);
}

void request_queue_cancel_done(struct request_queue *queue, uint32_t cell)
{
    atomic_store(&queue->cancel[cell], 0);
    atomic_fetch_sub(&queue->cancels, 1);
}
