/* Keys and values of earlier epochs: kept, reported to the sequencer, and put where their requests continue. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine_state.h"
#include "node/common/spin.h"

/* ---- before the first step ---- */

static uint32_t from_of(const void *app, const struct request *request);

int engine_open_saved_kv(struct engine *e, struct fail *fail)
{
    const uint16_t ranks = e->config.map->rank_count;

    e->saved_kv.shape = (struct saved_kv_shape){.layers = e->model->layers, .head_dim = e->model->head_dim, .type = e->config.kv_type};
    if (!e->config.keeps)
        return 0;
    engine_restore(e, &(struct saved_kv){.shape = e->saved_kv.shape});
    if (!e->publisher.is_sequencer)
        return 0;
    e->kept_reports = calloc(ranks, sizeof *e->kept_reports);
    if (e->kept_reports == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    e->publisher.from = from_of;
    e->publisher.reusable = engine_reusable;
    e->publisher.missing = ranks;
    e->kept_missing = ranks == 64 ? UINT64_MAX : (UINT64_C(1) << ranks) - 1;
    return 0;
}

void engine_close_saved_kv(struct engine *e)
{
    saved_kv_release(&e->saved_kv);
    free(e->kept_reports);
}

void engine_restore(struct engine *e, struct saved_kv *saved_kv)
{
    struct record_kept said = {.others = e->kv_count == 0 ? UINT32_MAX : 0};

    assert(e->config.keeps);
    saved_kv_merge(&e->saved_kv, saved_kv);
    for (uint32_t i = 0; i < e->saved_kv.request_count && said.count < RECORD_KEPT_MAX; i++) {
        const uint64_t request = e->saved_kv.request[i].id;

        said.of[said.count].request = request;
        said.of[said.count++].positions = saved_kv_positions(&e->saved_kv, request, e->kv_first, e->kv_count);
    }
    e->kept_record_bytes = record_put_kept(&said, e->kept_record);
}

/* ---- afterwards ---- */

static uint8_t *cache_of(struct engine *e, const struct sequence *s, uint32_t layer, uint32_t own_head, uint32_t which)
{
    size_t slot = (size_t)(s - e->sequence);

    return e->kv + slot * e->kv_slot_bytes + (((size_t)layer * e->kv_count + own_head) * 2 + which) * e->kv_head_bytes;
}

static void keep_head(struct engine *e, const struct sequence *s, uint32_t own_head, struct saved_kv *saved_kv)
{
    const struct saved_kv_head *head = saved_kv_add(saved_kv, s->request.id, e->kv_first + own_head, s->positions_done);

    if (head == NULL)
        return;
    uint8_t *to = head->bytes;
    size_t k = saved_kv_k_bytes(&saved_kv->shape, s->positions_done), v = saved_kv_v_bytes(&saved_kv->shape, s->positions_done);
    for (uint32_t layer = 0; layer < e->model->layers; layer++) {
        memcpy(to, cache_of(e, s, layer, own_head, 0), k);
        memcpy(to + k, cache_of(e, s, layer, own_head, 1), v);
        to += k + v;
    }
}

void engine_save_kv(struct engine *e, struct saved_kv *saved_kv)
{
    assert(e->config.keeps);
    saved_kv->shape = e->saved_kv.shape;
    saved_kv_merge(saved_kv, &e->saved_kv);
    saved_kv_age(saved_kv);
    for (uint16_t i = 0; e->kv != NULL && i < e->config.slots; i++) {
        const struct sequence *s = &e->sequence[i];

        if (!s->is_active || s->positions_done == 0 || !saved_kv_note(saved_kv, s->request.id, s->positions_done))
            continue;
        for (uint32_t h = 0; h < e->kv_count; h++)
            keep_head(e, s, h, saved_kv);
    }
}

/* ---- in between ---- */

/* Copy positions of another slot, unless it is the same one. */
static void copy_slot(struct engine *e, const struct sequence *from, const struct sequence *to, uint32_t positions)
{
    const size_t k = saved_kv_k_bytes(&e->saved_kv.shape, positions), v = saved_kv_v_bytes(&e->saved_kv.shape, positions);

    for (uint32_t layer = 0; from != to && layer < e->model->layers; layer++)
        for (uint32_t h = 0; h < e->kv_count; h++) {
            memcpy(cache_of(e, to, layer, h, 0), cache_of(e, from, layer, h, 0), k);
            memcpy(cache_of(e, to, layer, h, 1), cache_of(e, from, layer, h, 1), v);
        }
}

/* Copy what is kept of the request itself. */
static void copy_saved(struct engine *e, const struct sequence *s, uint32_t positions)
{
    for (uint32_t h = 0; positions > 0 && h < e->kv_count; h++) {
        const struct saved_kv_head *head = saved_kv_find(&e->saved_kv, s->request.id, e->kv_first + h);
        size_t k = saved_kv_k_bytes(&e->saved_kv.shape, head->positions), v = saved_kv_v_bytes(&e->saved_kv.shape, head->positions);
        const uint8_t *from = head->bytes;

        for (uint32_t layer = 0; layer < e->model->layers; layer++) {
            memcpy(cache_of(e, s, layer, h, 0), from, saved_kv_k_bytes(&e->saved_kv.shape, positions));
            memcpy(cache_of(e, s, layer, h, 1), from + k, saved_kv_v_bytes(&e->saved_kv.shape, positions));
            from += k + v;
        }
    }
}

bool engine_take_saved_kv(struct engine *e, struct sequence *s, uint32_t positions, const struct sequence *source)
{
    const struct saved_kv_request *known = saved_kv_request(&e->saved_kv, s->request.id);

    if (source == NULL && positions > saved_kv_positions(&e->saved_kv, s->request.id, e->kv_first, e->kv_count))
        return false;
    if (source != NULL)
        copy_slot(e, source, s, positions);
    else
        copy_saved(e, s, positions);
    atomic_fetch_add(&e->reused, source != NULL ? positions : 0);
    if (known != NULL && known->positions > positions)
        atomic_fetch_add(&e->recomputed, known->positions - positions);
    saved_kv_drop(&e->saved_kv, s->request.id);
    engine_set_positions(e, s, positions);
    return true;
}

/* ---- while it works ---- */

uint32_t engine_cached(struct engine *e, struct engine_cached *cached, uint32_t *first, uint32_t *heads)
{
    uint32_t count = 0;

    *first = e->kv_first;
    *heads = e->kv_count;
    spin_lock(&e->advancing);
    for (uint16_t i = 0; i < e->config.slots; i++)
        if (e->sequence[i].is_active)
            cached[count++] = (struct engine_cached){e->sequence[i].request.id, e->sequence[i].positions_done};
    spin_unlock(&e->advancing);
    return count;
}

/* Copies the requested range of a piece that is made of consecutive parts. */
struct piece {
    uint64_t offset; /* next byte wanted, in the piece */
    size_t left;
    uint8_t *out;
    uint64_t at; /* where the next part begins, in the piece */
};

static void copy_part(struct piece *piece, const uint8_t *part, size_t size)
{
    const uint64_t end = piece->at + size;

    if (piece->left > 0 && piece->offset < end) {
        const size_t skip = (size_t)(piece->offset - piece->at), count = size - skip < piece->left ? size - skip : piece->left;

        memcpy(piece->out, part + skip, count);
        piece->out += count;
        piece->offset += count;
        piece->left -= count;
    }
    piece->at = end;
}

static void copy_cached(struct engine *e, const struct sequence *s, uint32_t own_head, uint32_t first, uint32_t positions,
                        struct piece *piece)
{
    const struct saved_kv_shape *shape = &e->saved_kv.shape;
    const size_t k = saved_kv_k_bytes(shape, first), k_size = saved_kv_k_bytes(shape, positions) - k;
    const size_t v = saved_kv_v_bytes(shape, first), v_size = saved_kv_v_bytes(shape, positions) - v;

    for (uint32_t layer = 0; layer < e->model->layers; layer++) {
        copy_part(piece, cache_of(e, s, layer, own_head, 0) + k, k_size);
        copy_part(piece, cache_of(e, s, layer, own_head, 1) + v, v_size);
    }
}

bool engine_cached_read(struct engine *e, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, uint64_t offset,
                        uint8_t *out, size_t *bytes)
{
    struct piece piece = {.offset = offset, .left = *bytes, .out = out};
    bool is_there = false;

    if (head < e->kv_first || head >= e->kv_first + e->kv_count || first > positions)
        return false;
    spin_lock(&e->advancing);
    for (uint16_t i = 0; i < e->config.slots; i++) {
        const struct sequence *s = &e->sequence[i];

        if (!s->is_active || s->request.id != request || s->positions_done < positions)
            continue;
        copy_cached(e, s, head - e->kv_first, first, positions, &piece);
        is_there = true;
        break;
    }
    spin_unlock(&e->advancing);
    *bytes -= piece.left;
    return is_there;
}

/* ---- what is said of it ---- */

void engine_send_kept(struct engine *e)
{
    if (e->kept_record_bytes == 0)
        return;
    if (e->publisher.is_sequencer)
        engine_hear_kept(e, e->config.rank, e->kept_record, e->kept_record_bytes);
    else if (mesh_send_record(e->port.mesh, engine_now(e), 0, e->kept_record, e->kept_record_bytes) != MESH_OK)
        return;
    e->kept_record_bytes = 0;
}

/* Malformed records are dropped: their senders are members, so this is a bug of theirs, and requests then wait. */
void engine_hear_kept(struct engine *e, uint16_t rank, const uint8_t *record, size_t bytes)
{
    struct bytes in = bytes_reader(record + 1, bytes - 1);

    if (e->kept_reports == NULL || (e->kept_missing >> rank & 1) == 0 || record_get_kept(&in, &e->kept_reports[rank]) < 0)
        return;
    e->kept_missing &= ~(UINT64_C(1) << rank);
    e->publisher.missing--;
}

static uint32_t positions_of(const struct record_kept *said, uint64_t request)
{
    for (uint16_t i = 0; i < said->count; i++)
        if (said->of[i].request == request)
            return said->of[i].positions;
    return said->others;
}

/* The last known token must be computed: the next one is drawn from it. */
static uint32_t from_of(const void *app, const struct request *request)
{
    const struct engine *e = app;
    uint32_t from = request->prompt_count - 1;

    for (uint16_t r = 0; r < e->config.map->rank_count; r++) {
        uint32_t positions = positions_of(&e->kept_reports[r], request->id);

        from = positions < from ? positions : from;
    }
    return from;
}
