/* Conversion of one tensor's data to another type: in pieces that threads share, through buffers of a fixed size.
 *
 *     quantise_data_begin(d, tensor, type); while (quantise_data_next(d, &bytes, &size, fail) > 0) write bytes ...
 *
 * Pieces are whole blocks of either type and sums of their errors are added in their order, so bytes and figures are the same for any
 * number of threads. Data that already has the type is copied. One thread owns it. */
#ifndef NODE_QUANTISE_DATA_H
#define NODE_QUANTISE_DATA_H

#include "node/gguf/gguf.h"
#include "node/gguf/tensor_type.h"

enum { QUANTISE_DATA_THREADS_MAX = 256 };

struct quantise_data;

/* Errors of the conversion, and the values themselves. */
struct quantise_tally {
    double error_squares; /* of the differences */
    double value_squares;
};

/* path is for messages, borrowed. NULL when there is no memory. */
struct quantise_data *quantise_data_open(const char *path, uint16_t threads, struct fail *fail);
void quantise_data_close(struct quantise_data *data); /* NULL is fine */

/* The tensor (borrowed) has a type that tensor_type_info knows, and rows of whole blocks of either type (asserted). */
void quantise_data_begin(struct quantise_data *data, const struct gguf_tensor *tensor, enum tensor_type type);

/* 1: the next bytes of the tensor, valid until the next call; 0: that was all; -1: EXIT_BAD_FILE, a value is not finite. */
int quantise_data_next(struct quantise_data *data, const uint8_t **bytes, size_t *size, struct fail *fail);

/* Of the tensor so far: the tally, and the number of values. */
struct quantise_tally quantise_data_tally(const struct quantise_data *data);
uint64_t quantise_data_done(const struct quantise_data *data);

#endif
