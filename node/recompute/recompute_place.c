/* What a block of a gather contains, in words, and the numbers in it. */
#include <stdio.h>
#include <string.h>

#include "recompute_state.h"

static void tensors_of(const struct recompute *r, const struct phase *phase, const struct gguf_tensor *found[3])
{
    const struct model_layer *layer = &r->model->layer[phase->kind == PHASE_HEAD ? 0 : phase->layer];

    found[0] = found[1] = found[2] = NULL;
    switch (phase->kind) {
    case PHASE_ATTENTION:
        found[0] = layer->q, found[1] = layer->k, found[2] = layer->v;
        break;
    case PHASE_WO:
        found[0] = layer->wo;
        break;
    case PHASE_GATE_UP:
        found[0] = layer->gate, found[1] = layer->up;
        break;
    case PHASE_DOWN:
        found[0] = layer->down;
        break;
    case PHASE_HEAD:
        found[0] = r->model->output;
        break;
    }
}

static void name_matrices(const struct recompute *r, const struct phase *phase, char *out, size_t capacity)
{
    const struct gguf_tensor *found[3];
    char name[GGUF_SHOWN_NAME_BYTES];
    size_t used = 0;

    tensors_of(r, phase, found);
    out[0] = '\0';
    for (unsigned i = 0; i < 3 && found[i] != NULL && used < capacity; i++) {
        gguf_show_name(&found[i]->name, name);
        used += (size_t)snprintf(out + used, capacity - used, "%s%s", i > 0 ? ", " : "", name);
    }
}

bool recompute_whose(const struct recompute *r, uint16_t phase, uint16_t row, uint64_t *request, uint32_t *position)
{
    const struct engine *e = r->engine;

    if (phase >= e->phase_count || row >= engine_gather_rows(e, phase))
        return false;
    const uint32_t token = engine_row_token(e, phase, row);
    *request = e->part[e->token_part[token]].sequence->request.id;
    *position = engine_position(e, token);
    return true;
}

void recompute_place(const struct recompute *r, uint16_t phase, uint16_t block, struct recompute_place *place)
{
    static const char *const names[] = {"attention", "attention output", "gate and up", "down", "candidates"};
    const struct phase *p = &r->engine->phase[phase < r->engine->phase_count ? phase : r->engine->phase_count - 1];

    *place = (struct recompute_place){.layer = p->layer, .phase = names[p->kind], .row_first = (uint32_t)block * BLOCK_COLUMNS};
    if (p->kind == PHASE_HEAD) {
        place->row_first = 0;
        place->row_count = r->model->vocab;
    } else {
        const uint32_t left = p->form.columns - place->row_first;

        place->row_count = place->row_first >= p->form.columns ? 0 : left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS;
    }
    name_matrices(r, p, place->matrix, sizeof place->matrix);
}

unsigned recompute_values(const struct recompute *r, uint16_t phase, const uint8_t *block, float values[32])
{
    const struct phase *p = &r->engine->phase[phase];
    float scale;

    if (phase >= r->engine->phase_count || p->kind == PHASE_HEAD)
        return 0;
    if (p->form.is_float) {
        memcpy(values, block + (p->form.feeds_norm ? sizeof scale : 0), BLOCK_COLUMNS * sizeof *values);
        return BLOCK_COLUMNS;
    }
    memcpy(&scale, block, sizeof scale);
    for (unsigned i = 0; i < BLOCK_COLUMNS; i++)
        values[i] = scale * (float)(int8_t)block[sizeof scale + i];
    return BLOCK_COLUMNS;
}

bool recompute_square_sum(const struct recompute *r, uint16_t phase, const uint8_t *block, float *sum)
{
    const struct phase *p = &r->engine->phase[phase];

    if (phase >= r->engine->phase_count || p->kind == PHASE_HEAD || !p->form.feeds_norm)
        return false;
    memcpy(sum, block + (p->form.is_float ? 0 : BLOCK_WIRE_BYTES), sizeof *sum);
    return true;
}
