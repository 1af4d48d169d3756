/* Reads what a GGUF file declares about rope. Absent keys have the values of rope_parameters_default. */
#include <string.h>

#include "architecture.h"
#include "node/gguf/gguf.h"
#include "node/gguf/tensor_type.h"
#include "rope.h"

struct reader {
    const struct gguf *gguf;
    const struct architecture *architecture;
    char key[ARCHITECTURE_KEY_BYTES];
    struct fail *fail;
};

static const char *key_of(struct reader *reader, const char *name)
{
    return architecture_key(reader->architecture, name, reader->key);
}

static bool is_text(struct gguf_string string, const char *text)
{
    return string.size == strlen(text) && memcmp(string.text, text, string.size) == 0;
}

static int read_count(struct reader *reader, const char *name, uint32_t *out)
{
    uint64_t value = *out;

    if (gguf_get_uint(reader->gguf, key_of(reader, name), UINT32_MAX, &value, reader->fail) < 0)
        return -1;
    *out = (uint32_t)value;
    return 0;
}

static int read_number(struct reader *reader, const char *name, float *out)
{
    return gguf_get_float(reader->gguf, key_of(reader, name), out, reader->fail) < 0 ? -1 : 0;
}

/* The factor under its present or its older name; 0 means that nothing is scaled. A factor without a kind is linear. */
static int read_scaling(struct reader *reader, struct rope_parameters *p)
{
    struct gguf_string kind = {"linear", 6};
    char shown[GGUF_SHOWN_NAME_BYTES];

    if (read_number(reader, "rope.scale_linear", &p->factor) != 0 || read_number(reader, "rope.scaling.factor", &p->factor) != 0 ||
        gguf_get_string(reader->gguf, key_of(reader, "rope.scaling.type"), &kind, reader->fail) < 0)
        return -1;
    if (p->factor == 0.0f)
        p->factor = 1.0f;
    if (is_text(kind, "none")) {
        p->scaling = ROPE_SCALING_NONE;
        p->factor = 1.0f;
    } else if (is_text(kind, "linear")) {
        p->scaling = ROPE_SCALING_LINEAR;
    } else if (is_text(kind, "yarn")) {
        p->scaling = ROPE_SCALING_YARN;
    } else {
        gguf_show_name(&kind, shown);
        return fail_set(reader->fail, EXIT_BAD_FILE,
                        "%s: metadata '%s': rope scaling '%s' is not supported: use a model with none, linear or yarn",
                        gguf_path(reader->gguf), reader->key, shown);
    }
    return 0;
}

static int read_yarn(struct reader *reader, struct rope_parameters *p)
{
    float multiplier = 0.0f;
    float attention = 1.0f;

    if (read_count(reader, "context_length", &p->original_context) != 0 ||
        read_count(reader, "rope.scaling.original_context_length", &p->original_context) != 0 ||
        read_number(reader, "rope.scaling.yarn_ext_factor", &p->ext_factor) != 0 ||
        read_number(reader, "rope.scaling.yarn_attn_factor", &attention) != 0 ||
        read_number(reader, "rope.scaling.yarn_beta_fast", &p->beta_fast) != 0 ||
        read_number(reader, "rope.scaling.yarn_beta_slow", &p->beta_slow) != 0 ||
        read_number(reader, "rope.scaling.yarn_log_multiplier", &multiplier) != 0)
        return -1;
    if (multiplier != 0.0f)
        return fail_set(reader->fail, EXIT_BAD_FILE, "%s: metadata '%s': found %g, but only 0 is supported: use another model",
                        gguf_path(reader->gguf), reader->key, (double)multiplier);
    p->attn_factor *= attention;
    return 0;
}

/* divisors: (ROPE_PAIRS_MAX). 1: read; 0: the file has none. */
static int read_divisors(struct reader *reader, uint32_t pairs, float *divisors)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(reader->gguf, "rope_freqs.weight");

    if (tensor == NULL)
        return 0;
    if (tensor->type != TYPE_F32)
        return fail_set(reader->fail, EXIT_BAD_FILE, "%s: tensor 'rope_freqs.weight': type %s, expected f32: convert the file again",
                        gguf_path(reader->gguf), tensor_type_name(tensor->type));
    if (tensor->dims[0] != pairs || tensor->dims[1] != 1 || tensor->dims[2] != 1 || tensor->dims[3] != 1)
        return fail_set(reader->fail, EXIT_BAD_FILE,
                        "%s: tensor 'rope_freqs.weight': %llu columns, expected one row of %u: convert the file again",
                        gguf_path(reader->gguf), (unsigned long long)tensor->dims[0], pairs);
    tensor_type_dequantise(TYPE_F32, tensor->data, pairs, divisors);
    return 1;
}

int rope_config_from_gguf(const struct gguf *gguf, const struct architecture *architecture, uint32_t head_dim, struct rope_config *config,
                          struct fail *fail)
{
    struct reader reader = {.gguf = gguf, .architecture = architecture, .fail = fail};
    struct rope_parameters parameters;
    float divisors[ROPE_PAIRS_MAX];
    int have_divisors;

    rope_parameters_default(head_dim, &parameters);
    if (read_count(&reader, "rope.dimension_count", &parameters.dimension_count) != 0 ||
        read_number(&reader, "rope.freq_base", &parameters.freq_base) != 0 ||
        read_number(&reader, "rope.scaling.attn_factor", &parameters.attn_factor) != 0 || read_scaling(&reader, &parameters) != 0)
        return -1;
    if (parameters.scaling == ROPE_SCALING_YARN && read_yarn(&reader, &parameters) != 0)
        return -1;
    if (parameters.dimension_count > head_dim)
        return fail_set(fail, EXIT_BAD_FILE, "%s: metadata '%s': found %u, expected at most %u, the size of a head: convert the file again",
                        gguf_path(gguf), key_of(&reader, "rope.dimension_count"), parameters.dimension_count, head_dim);
    if (parameters.dimension_count > 2 * ROPE_PAIRS_MAX)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: metadata '%s': %u is not supported: use a model in which at most %d columns of a head turn", gguf_path(gguf),
                        key_of(&reader, "rope.dimension_count"), parameters.dimension_count, 2 * ROPE_PAIRS_MAX);
    have_divisors = read_divisors(&reader, parameters.dimension_count / 2, divisors);
    if (have_divisors < 0)
        return -1;
    if (rope_config_init(config, &parameters, have_divisors ? divisors : NULL, fail) == 0)
        return 0;

    const struct fail why = *fail; /* of a file that is not supported */

    return fail_set(fail, why.exit_code, "%.400s: %.150s: use another model, or convert it again", gguf_path(gguf), why.text);
}
