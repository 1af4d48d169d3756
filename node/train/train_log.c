#include "train_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mesh/program/json.h"
#include "mesh/program/replace_file.h"

enum { LINE_MAX_BYTES = 160, PIECE_BYTES = 16384 };

struct writer {
    struct replace_file file;
    size_t used;
    char piece[PIECE_BYTES];
};

static int flush(struct writer *writer, struct fail *fail)
{
    const size_t size = writer->used;

    writer->used = 0;
    return replace_file_write(&writer->file, writer->piece, size, fail);
}

/* printf's decimal point depends on the locale, and its NaN sign on the machine. */
static void print_float(float value, char out[JSON_NUMBER_MAX])
{
    char *end = out;

    json_float_text(isnan(value) ? fabsf(value) : value, out);
    if (!isfinite(value))
        return;
    for (const char *c = out; *c != '\0'; c++) {
        const char *known = strchr("0123456789+-e", *c);

        if (known != NULL)
            *end++ = *known;
        else if (end[-1] != '.')
            *end++ = '.';
    }
    *end = '\0';
}

static int write_record(struct writer *writer, const struct train_record *record, struct fail *fail)
{
    char loss[JSON_NUMBER_MAX], held_out[JSON_NUMBER_MAX] = "", rate[JSON_NUMBER_MAX], gradient[JSON_NUMBER_MAX];

    if (sizeof writer->piece - writer->used < LINE_MAX_BYTES && flush(writer, fail) < 0)
        return -1;
    print_float(record->loss, loss);
    if (!(record->held_out < 0))
        print_float(record->held_out, held_out);
    print_float(record->rate, rate);
    print_float(record->gradient, gradient);
    writer->used += (size_t)snprintf(writer->piece + writer->used, sizeof writer->piece - writer->used, "%" PRIu64 ",%s,%s,%s,%s\n",
                                     record->step, loss, held_out, rate, gradient);
    return 0;
}

static int write_records(struct writer *writer, const struct train_record *record, size_t count, struct fail *fail)
{
    static const char header[] = "step,loss,held_out_loss,learning_rate,gradient_norm\n";

    memcpy(writer->piece, header, sizeof header - 1);
    writer->used = sizeof header - 1;
    for (size_t i = 0; i < count; i++)
        if (write_record(writer, &record[i], fail) < 0)
            return -1;
    return flush(writer, fail);
}

int train_log_write(const struct train_record *record, size_t count, const char *path, struct fail *fail)
{
    struct writer writer;

    if (replace_file_open(&writer.file, path, fail) < 0)
        return -1;
    return replace_file_end(&writer.file, write_records(&writer, record, count, fail), fail);
}
