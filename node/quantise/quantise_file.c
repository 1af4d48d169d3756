#include "quantise_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mesh/program/progress.h"
#include "mesh/program/replace_file.h"
#include "node/gguf/gguf_write.h"
#include "quantise_data.h"

enum { QUANTIZATION_VERSION = 2 };

struct job {
    const struct quantise_file_options *options;
    struct quantise_file_report *report;
    const struct gguf *in;
    struct gguf_write description;
    struct replace_file out;
    struct quantise_data *data;
    struct progress progress;
    uint64_t values_done, values_total;
    struct quantise_tally tally; /* of the matrices */
};

static bool is_vector(const struct gguf_tensor *tensor)
{
    return tensor->dims[1] * tensor->dims[2] * tensor->dims[3] == 1;
}

static bool has_whole_blocks(const struct gguf_tensor *tensor, enum tensor_type type)
{
    return tensor->dims[0] % tensor_type_info(type)->block_values == 0;
}

static uint64_t count_values(const struct gguf_tensor *tensor)
{
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

enum tensor_type quantise_file_type(const struct gguf_tensor *tensor, enum tensor_type wanted)
{
    if (is_vector(tensor))
        return TYPE_F32;
    if (has_whole_blocks(tensor, wanted))
        return wanted;
    return has_whole_blocks(tensor, TYPE_Q8_0) ? TYPE_Q8_0 : TYPE_F16;
}

/* ---- what the file will be ---- */

/* The output must not be the input, which is mapped while it is written. */
static int check_same(const struct quantise_file_options *options, struct fail *fail)
{
    if (replace_file_is_same(options->in, options->out))
        return fail_set(fail, EXIT_USAGE, "%s: is the same file as %s: it cannot be read and replaced at once: give another name",
                        options->out, options->in);
    return 0;
}

static int check_types(const struct gguf *in, struct fail *fail)
{
    char name[GGUF_SHOWN_NAME_BYTES];

    for (size_t i = 0; i < gguf_tensor_count(in); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(in, i);

        if (tensor_type_info(tensor->type) != NULL)
            continue;
        gguf_show_name(&tensor->name, name);
        return fail_set(fail, EXIT_BAD_FILE, "%s: tensor '%s': its type %s (%u) is not supported: begin with a file of one of %s",
                        gguf_path(in), name, tensor_type_name(tensor->type), tensor->type, TENSOR_TYPE_NAMES);
    }
    return 0;
}

static bool is_key(const struct gguf_value *value, const char *key)
{
    return value->key.size == strlen(key) && memcmp(value->key.text, key, value->key.size) == 0;
}

static void describe_values(struct job *job)
{
    static const char type_key[] = "general.file_type";
    static const char version_key[] = "general.quantization_version";
    const uint32_t number = tensor_type_file_number(job->options->type);

    for (size_t i = 0; i < gguf_value_count(job->in); i++) {
        const struct gguf_value *value = gguf_value_at(job->in, i);

        if (is_key(value, type_key))
            gguf_write_u32(&job->description, type_key, number);
        else if (is_key(value, version_key))
            gguf_write_u32(&job->description, version_key, QUANTIZATION_VERSION);
        else
            gguf_write_value(&job->description, value);
    }
    if (gguf_find(job->in, type_key) == NULL)
        gguf_write_u32(&job->description, type_key, number);
    if (gguf_find(job->in, version_key) == NULL)
        gguf_write_u32(&job->description, version_key, QUANTIZATION_VERSION);
}

static void describe_tensor(struct job *job, const struct gguf_tensor *tensor)
{
    const enum tensor_type wanted = job->options->type;
    const enum tensor_type type = quantise_file_type(tensor, wanted);
    struct quantise_file_report *report = job->report;

    gguf_write_tensor_like(&job->description, tensor, type);
    report->tensors++;
    report->of_type[type]++;
    if (is_vector(tensor))
        report->vectors++;
    else if (type != wanted && type == TYPE_Q8_0)
        report->short_rows++;
    else if (type != wanted)
        report->odd_rows++;
    job->values_total += count_values(tensor);
}

static int describe(struct job *job, struct fail *fail)
{
    uint64_t alignment = GGUF_WRITE_ALIGNMENT;

    if (gguf_get_uint(job->in, "general.alignment", UINT32_MAX, &alignment, fail) < 0)
        return -1;
    gguf_write_align(&job->description, (uint32_t)alignment);
    describe_values(job);
    for (size_t i = 0; i < gguf_tensor_count(job->in); i++)
        describe_tensor(job, gguf_tensor_at(job->in, i));
    return gguf_write_finish(&job->description, fail);
}

/* ---- writing it ---- */

static void show_progress(struct job *job, uint64_t values)
{
    if (progress_is_due(&job->progress))
        fprintf(stderr, "\rwriting %s: %3.0f %%, %.0f million values/s ", job->out.path, 100.0 * (double)values / (double)job->values_total,
                1e-6 * (double)values / progress_elapsed_s(&job->progress));
}

static int write_padding(struct job *job, size_t size, struct fail *fail)
{
    static const uint8_t zeros[4096];

    while (size > 0) {
        const size_t part = size < sizeof zeros ? size : sizeof zeros;

        if (replace_file_write(&job->out, zeros, part, fail) < 0)
            return -1;
        size -= part;
    }
    return 0;
}

static int write_tensor(struct job *job, const struct gguf_tensor *tensor, struct fail *fail)
{
    const uint8_t *bytes = NULL;
    uint64_t written = 0;
    size_t size = 0;
    int more;

    quantise_data_begin(job->data, tensor, quantise_file_type(tensor, job->options->type));
    while ((more = quantise_data_next(job->data, &bytes, &size, fail)) > 0) {
        if (replace_file_write(&job->out, bytes, size, fail) < 0)
            return -1;
        written += size;
        gguf_release_pages(job->in);
        show_progress(job, job->values_done + quantise_data_done(job->data));
    }
    if (more < 0)
        return -1;
    job->values_done += count_values(tensor);
    if (!is_vector(tensor)) {
        const struct quantise_tally tally = quantise_data_tally(job->data);

        job->tally.error_squares += tally.error_squares;
        job->tally.value_squares += tally.value_squares;
    }
    return write_padding(job, gguf_write_padding(&job->description, written), fail);
}

static int write_all(struct job *job, struct fail *fail)
{
    if (replace_file_write(&job->out, job->description.bytes, job->description.size, fail) < 0)
        return -1;
    for (size_t i = 0; i < gguf_tensor_count(job->in); i++) {
        if (write_tensor(job, gguf_tensor_at(job->in, i), fail) < 0)
            return -1;
    }
    return 0;
}

static void fill_report(struct job *job)
{
    struct quantise_file_report *report = job->report;

    report->bytes_before = gguf_file_bytes(job->in);
    report->bytes_after = job->description.size + job->description.data_size;
    if (job->tally.error_squares > 0)
        report->rms_error = sqrt(job->tally.error_squares / job->tally.value_squares);
}

static int convert(struct job *job, struct fail *fail)
{
    if (check_types(job->in, fail) < 0 || describe(job, fail) < 0)
        return -1;
    job->data = quantise_data_open(gguf_path(job->in), job->options->threads, fail);
    if (job->data == NULL || replace_file_open(&job->out, job->options->out, fail) < 0)
        return -1;
    progress_begin(&job->progress);

    const int result = write_all(job, fail);

    progress_end(&job->progress);
    return replace_file_end(&job->out, result, fail);
}

int quantise_file(const struct quantise_file_options *options, struct quantise_file_report *report, struct fail *fail)
{
    struct job job = {.options = options, .report = report};
    struct gguf *in = NULL;

    *report = (struct quantise_file_report){0};
    if (check_same(options, fail) < 0 || (in = gguf_open(options->in, fail)) == NULL)
        return -1;
    job.in = in;
    gguf_write_init(&job.description);

    const int result = convert(&job, fail);

    if (result == 0)
        fill_report(&job);
    quantise_data_close(job.data);
    gguf_write_release(&job.description);
    gguf_close(in);
    return result;
}
