#include "model_needs.h"

#include <stdlib.h>

static void add(const struct model *model, const struct gguf_tensor *tensor, uint8_t *chunks)
{
    model_chunks_mark(chunks, gguf_offset(model->gguf, tensor->data), tensor->data_size);
}

static void add_rows(const struct model *model, const struct gguf_tensor *tensor, uint32_t first, uint32_t count, uint8_t *chunks)
{
    const uint64_t row_bytes = model_row_bytes(tensor);

    model_chunks_mark(chunks, gguf_offset(model->gguf, tensor->data) + first * row_bytes, count * row_bytes);
}

enum { LAYER_VECTORS = 7 };

void model_needs_common(const struct model *model, uint8_t *chunks)
{
    model_chunks_mark(chunks, 0, gguf_data_start(model->gguf));
    add(model, model->token_embd, chunks);
    add(model, model->output_norm, chunks);
    for (uint32_t i = 0; i < model->layers; i++) {
        const struct model_layer *layer = &model->layer[i];
        const struct gguf_tensor *vectors[LAYER_VECTORS] = {layer->attn_norm, layer->ffn_norm, layer->q_bias, layer->k_bias,
                                                            layer->v_bias,    layer->q_norm,   layer->k_norm};

        for (size_t v = 0; v < LAYER_VECTORS; v++)
            if (vectors[v] != NULL)
                add(model, vectors[v], chunks);
    }
}

void model_needs_rows(const struct model *model, const struct rowmap *map, uint16_t rank, uint8_t *chunks)
{
    struct rowmap_rows rows;

    rowmap_rows(map, model, rank, &rows);
    for (uint32_t i = 0; i < model->layers; i++) {
        const struct model_layer *layer = &model->layer[i];

        add_rows(model, layer->q, rows.z_first, rows.z_count, chunks);
        add_rows(model, layer->k, rows.kv_first, rows.kv_count, chunks);
        add_rows(model, layer->v, rows.kv_first, rows.kv_count, chunks);
        add_rows(model, layer->wo, rows.x_first, rows.x_count, chunks);
        add_rows(model, layer->gate, rows.h_first, rows.h_count, chunks);
        add_rows(model, layer->up, rows.h_first, rows.h_count, chunks);
        add_rows(model, layer->down, rows.x_first, rows.x_count, chunks);
    }
    add_rows(model, model->output, rows.vocab_first, rows.vocab_count, chunks);
}

uint32_t model_needs_disks(const struct model *model, const struct rowmap *map, uint64_t whole)
{
    const uint32_t count = model_chunk_count(gguf_file_bytes(model->gguf));
    uint8_t *disks = calloc(count, 1), *own = calloc(count, 1);
    uint32_t least = disks == NULL || own == NULL ? 0 : UINT32_MAX;

    for (uint16_t rank = 0; least > 0 && rank < map->rank_count; rank++) {
        for (uint32_t chunk = 0; chunk < count; chunk++)
            own[chunk] = (whole >> rank & 1) != 0;
        model_needs_common(model, own);
        model_needs_rows(model, map, rank, own);
        for (uint32_t chunk = 0; chunk < count; chunk++)
            disks[chunk] = (uint8_t)(disks[chunk] + own[chunk]);
    }
    for (uint32_t chunk = 0; least > 0 && chunk < count; chunk++)
        least = disks[chunk] < least ? disks[chunk] : least;
    free(disks);
    free(own);
    return least;
}
