#include "quantise_data.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/pool.h"
#include "node/kernel/kernel.h"
#include "quantise.h"

enum {
    PIECE_VALUES = 1 << 14, /* a multiple of every block */
    PIECES_MAX = 256,       /* between two calls of quantise_data_next */
    VALUE_BYTES_MAX = 4
};

struct piece {
    struct quantise_tally tally;
    size_t bad; /* the first value that is not finite; the number of values if there is none */
};

struct scratch {
    float value[PIECE_VALUES];
    float result[PIECE_VALUES];
};

struct quantise_data {
    const char *path;
    uint16_t threads;
    struct scratch *scratch; /* (threads) */
    uint8_t *out;            /* (PIECES_MAX * PIECE_VALUES * VALUE_BYTES_MAX) */
    const struct gguf_tensor *tensor;
    enum tensor_type from, to;
    uint64_t value_count, next_value;
    struct quantise_tally tally;
    uint64_t batch_values; /* of the pieces being converted, which begin at next_value */
    uint32_t piece_count;
    _Atomic uint32_t next_piece;
    struct piece piece[PIECES_MAX];
};

struct quantise_data *quantise_data_open(const char *path, uint16_t threads, struct fail *fail)
{
    struct quantise_data *data = calloc(1, sizeof *data);

    assert(threads > 0 && threads <= QUANTISE_DATA_THREADS_MAX);
    if (data != NULL) {
        data->path = path;
        data->threads = threads;
        data->scratch = malloc(threads * sizeof *data->scratch);
        data->out = malloc((size_t)PIECES_MAX * PIECE_VALUES * VALUE_BYTES_MAX);
    }
    if (data == NULL || data->scratch == NULL || data->out == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for buffers: use fewer threads, or close other programs");
        quantise_data_close(data);
        return NULL;
    }
    return data;
}

void quantise_data_close(struct quantise_data *data)
{
    if (data == NULL)
        return;
    free(data->scratch);
    free(data->out);
    free(data);
}

void quantise_data_begin(struct quantise_data *data, const struct gguf_tensor *tensor, enum tensor_type type)
{
    const struct tensor_type_info *from = tensor_type_info(tensor->type);
    const struct tensor_type_info *to = tensor_type_info(type);

    assert(from != NULL && tensor->dims[0] % from->block_values == 0);
    assert(to != NULL && tensor->dims[0] % to->block_values == 0);
    data->tensor = tensor;
    data->from = (enum tensor_type)tensor->type;
    data->to = type;
    data->value_count = tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    data->next_value = 0;
    data->tally = (struct quantise_tally){0};
}

/* Of any number of values that are whole blocks; uint64_t, since a tensor may be larger than memory. */
static uint64_t bytes_of(enum tensor_type type, uint64_t values)
{
    const struct tensor_type_info *info = tensor_type_info(type);

    return values / info->block_values * info->block_bytes;
}

static struct quantise_tally compare(const float *value, const float *result, size_t count)
{
    struct quantise_tally tally = {0};

    for (size_t i = 0; i < count; i++) {
        const double error = (double)result[i] - (double)value[i];

        tally.error_squares += error * error;
        tally.value_squares += (double)value[i] * (double)value[i];
    }
    return tally;
}

static void convert_piece(struct quantise_data *data, struct scratch *scratch, uint32_t index)
{
    const uint64_t at = (uint64_t)index * PIECE_VALUES;
    const uint64_t left = data->batch_values - at;
    const size_t count = left < PIECE_VALUES ? (size_t)left : PIECE_VALUES;
    const uint8_t *source = data->tensor->data + bytes_of(data->from, data->next_value + at);
    uint8_t *out = data->out + bytes_of(data->to, at);
    struct piece *piece = &data->piece[index];

    tensor_type_dequantise(data->from, source, count, scratch->value);
    piece->bad = quantise_first_not_finite(scratch->value, count);
    if (piece->bad < count)
        return;
    if (data->from == data->to)
        memcpy(out, source, bytes_of(data->to, count));
    else
        quantise(data->to, scratch->value, count, out);
    tensor_type_dequantise(data->to, out, count, scratch->result);
    piece->bad = PIECE_VALUES;
    piece->tally = compare(scratch->value, scratch->result, count);
}

static void work(void *app, uint16_t worker)
{
    struct quantise_data *data = app;

    kernel_thread_init();
    for (;;) {
        const uint32_t index = atomic_fetch_add(&data->next_piece, 1);

        if (index >= data->piece_count)
            break;
        convert_piece(data, &data->scratch[worker], index);
    }
}

/* The caller works, too, so no result depends on how many further threads could be started. */
static void convert_batch(struct quantise_data *data)
{
    const uint32_t useful = data->piece_count < data->threads ? data->piece_count : data->threads;
    struct pool *pool = NULL;
    struct fail ignored;

    atomic_store(&data->next_piece, 0);
    if (useful > 1)
        pool = pool_start((uint16_t)(useful - 1), work, data, &ignored);
    work(data, (uint16_t)(useful - 1));
    pool_join(pool);
}

static int refuse_value(const struct quantise_data *data, uint64_t index, struct fail *fail)
{
    char name[GGUF_SHOWN_NAME_BYTES];

    gguf_show_name(&data->tensor->name, name);
    return fail_set(fail, EXIT_BAD_FILE,
                    "%s: tensor '%s': value %" PRIu64 " (row %" PRIu64 ", column %" PRIu64
                    ") is infinite or no number: get another copy of the file",
                    data->path, name, index, index / data->tensor->dims[0], index % data->tensor->dims[0]);
}

int quantise_data_next(struct quantise_data *data, const uint8_t **bytes, size_t *size, struct fail *fail)
{
    const uint64_t left = data->value_count - data->next_value;
    const uint64_t most = (uint64_t)PIECES_MAX * PIECE_VALUES;

    if (left == 0)
        return 0;
    data->batch_values = left < most ? left : most;
    data->piece_count = (uint32_t)((data->batch_values + PIECE_VALUES - 1) / PIECE_VALUES);
    convert_batch(data);
    for (uint32_t i = 0; i < data->piece_count; i++) {
        if (data->piece[i].bad < PIECE_VALUES)
            return refuse_value(data, data->next_value + (uint64_t)i * PIECE_VALUES + data->piece[i].bad, fail);
        data->tally.error_squares += data->piece[i].tally.error_squares;
        data->tally.value_squares += data->piece[i].tally.value_squares;
    }
    *bytes = data->out;
    *size = (size_t)bytes_of(data->to, data->batch_values);
    data->next_value += data->batch_values;
    return 1;
}

struct quantise_tally quantise_data_tally(const struct quantise_data *data)
{
    return data->tally;
}

uint64_t quantise_data_done(const struct quantise_data *data)
{
    return data->next_value;
}
