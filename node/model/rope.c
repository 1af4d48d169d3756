#include "rope.h"

#include <assert.h>
#include <stddef.h>

#include "node/common/canon.h"

void rope_parameters_default(uint32_t dimension_count, struct rope_parameters *parameters)
{
    *parameters = (struct rope_parameters){
        .dimension_count = dimension_count,
        .freq_base = 10000.0f,
        .scaling = ROPE_SCALING_NONE,
        .factor = 1.0f,
        .original_context = 0,
        .ext_factor = 1.0f,
        .attn_factor = 1.0f,
        .beta_fast = 32.0f,
        .beta_slow = 1.0f,
    };
}

/* Written so that a NaN is out of range. */
static int check(const char *name, float value, float least, float most, struct fail *fail)
{
    if (value >= least && value <= most)
        return 0;
    return fail_set(fail, EXIT_BAD_FILE, "rope: %s is %g, expected %g to %g", name, (double)value, (double)least, (double)most);
}

static int check_parameters(const struct rope_parameters *p, struct fail *fail)
{
    if (p->dimension_count < 2 || p->dimension_count > 2 * ROPE_PAIRS_MAX || p->dimension_count % 2 != 0)
        return fail_set(fail, EXIT_BAD_FILE, "rope: dimension_count is %u, expected an even number, 2 to %d", p->dimension_count,
                        2 * ROPE_PAIRS_MAX);
    if (check("freq_base", p->freq_base, 1.0f, 1e30f, fail) != 0 || check("scaling factor", p->factor, 1.0f, 1e6f, fail) != 0 ||
        check("attention factor", p->attn_factor, 1e-3f, 1e3f, fail) != 0)
        return -1;
    if (p->scaling != ROPE_SCALING_YARN)
        return 0;
    if (p->original_context == 0 || p->original_context > ROPE_POSITIONS_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "rope: YaRN's original context length is %u, expected 1 to %d", p->original_context,
                        ROPE_POSITIONS_MAX);
    if (p->freq_base < 1.001f)
        return fail_set(fail, EXIT_BAD_FILE, "rope: freq_base is %g, which YaRN cannot scale", (double)p->freq_base);
    if (check("YaRN's ext_factor", p->ext_factor, 0.0f, 1.0f, fail) != 0 ||
        check("YaRN's beta_fast", p->beta_fast, 1e-3f, 1e6f, fail) != 0 || check("YaRN's beta_slow", p->beta_slow, 1e-3f, 1e6f, fail) != 0)
        return -1;
    return 0;
}

/* The pair, as a fraction, that makes `turns` turns within the original context. */
static double pair_of_turns(const struct rope_parameters *p, float turns)
{
    const double two_pi = 6.283185307179586;
    double ratio = (double)p->original_context / ((double)turns * two_pi);

    return (double)p->dimension_count * (double)canon_logf((float)ratio) / (2.0 * (double)canon_logf(p->freq_base));
}

/* Nearest integer at or below x, clamped; |x| is far below 2^31 here anyway. */
static double floor_within(double x, double least, double most)
{
    double whole;

    if (!(x > least))
        return least;
    if (x >= most)
        return most;
    whole = (double)(int64_t)x;
    return whole > x ? whole - 1.0 : whole;
}

/* The share of its own speed that YaRN leaves to a pair: 1 for fast ones, 0 for slow ones, linear between. */
static double yarn_share(const struct rope_parameters *p, uint32_t pair)
{
    const double last = (double)p->dimension_count - 1.0;
    double low = floor_within(pair_of_turns(p, p->beta_fast), 0.0, last);
    double high = -floor_within(-pair_of_turns(p, p->beta_slow), -last, 0.0);
    double width = high - low > 0.001 ? high - low : 0.001;
    double slope = ((double)pair - low) / width;
    double clamped = slope < 0.0 ? 0.0 : slope > 1.0 ? 1.0 : slope;

    return (1.0 - clamped) * (double)p->ext_factor;
}

static double frequency_of(const struct rope_parameters *p, uint32_t pair, float divisor)
{
    double own = canon_pow((double)p->freq_base, -2.0 * (double)pair / (double)p->dimension_count) / (double)divisor;
    double slowed = own / (double)p->factor;
    double share;

    if (p->scaling == ROPE_SCALING_NONE)
        return own;
    if (p->scaling == ROPE_SCALING_LINEAR)
        return slowed;
    share = yarn_share(p, pair);
    return slowed * (1.0 - share) + own * share;
}

int rope_config_init(struct rope_config *config, const struct rope_parameters *parameters, const float *divisors, struct fail *fail)
{
    struct rope_config made = {.pairs = parameters->dimension_count / 2, .magnitude = parameters->attn_factor};

    if (check_parameters(parameters, fail) != 0)
        return -1;
    if (parameters->scaling == ROPE_SCALING_YARN && parameters->ext_factor > 0.0f)
        made.magnitude *= 1.0f + 0.1f * canon_logf(parameters->factor);
    for (uint32_t i = 0; i < made.pairs; i++) {
        if (divisors != NULL && check("a value of rope_freqs.weight", divisors[i], 1.0f, 1e9f, fail) != 0)
            return -1;
        made.frequency[i] = frequency_of(parameters, i, divisors == NULL ? 1.0f : divisors[i]);
        assert(made.frequency[i] > 0.0 && made.frequency[i] < 1.0 + 1e-9);
    }
    *config = made;
    return 0;
}

void rope_table(const struct rope_config *config, uint32_t position, float *cos, float *sin)
{
    assert(position < ROPE_POSITIONS_MAX);
    for (uint32_t i = 0; i < config->pairs; i++) {
        float sine, cosine;

        canon_sincos((double)position * config->frequency[i], &sine, &cosine);
        cos[i] = cosine * config->magnitude;
        sin[i] = sine * config->magnitude;
    }
}
