/* `mesh-node quantize`: a GGUF file with its matrices in another type, and everything else as it was.
 *
 * Metadata keep their order, types and bytes, but for general.file_type and general.quantization_version. Tensors keep their order. Vectors
 * (tensors of one row) become F32; matrices the wanted type, or one whose block size divides their rows. */
#ifndef NODE_QUANTISE_FILE_H
#define NODE_QUANTISE_FILE_H

#include "node/gguf/gguf.h"
#include "node/gguf/tensor_type.h"

struct quantise_file_options {
    const char *in, *out;
    enum tensor_type type;
    uint16_t threads; /* 1 to QUANTISE_DATA_THREADS_MAX */
};

struct quantise_file_report {
    uint64_t bytes_before, bytes_after; /* of the files */
    uint64_t tensors;
    uint64_t of_type[TYPE_COUNT]; /* tensors that became this type */
    uint64_t vectors;             /* of them, kept as f32 */
    uint64_t short_rows;          /* matrices in q8_0, since their rows are not multiples of 256 */
    uint64_t odd_rows;            /* matrices in f16, since their rows are not multiples of 32 */
    double rms_error;             /* of all matrices' values, relative to the root of their mean square */
};

/* The type that a tensor becomes when `wanted` is asked for. */
enum tensor_type quantise_file_type(const struct gguf_tensor *tensor, enum tensor_type wanted);

/* Read in, write out, replacing what is there only once it is complete; progress on stderr when that is a terminal and it takes over a
 * second. EXIT_USAGE when both are the same file, EXIT_BAD_FILE for what cannot be read, EXIT_ENVIRONMENT when writing fails. The report is
 * the same for any number of threads. */
int quantise_file(const struct quantise_file_options *options, struct quantise_file_report *report, struct fail *fail);

#endif
