#include "tests/unit/quantise_case.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "node/common/canon.h"
#include "node/common/hash.h"
#include "node/quantise/quantise.h"

enum { VALUES_MAX = 4096, GROUPS_MAX = 16 };

const enum tensor_type quantise_case_types[] = {TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_1, TYPE_Q5_0, TYPE_Q5_1,
                                                TYPE_Q2_K, TYPE_Q3_K, TYPE_Q4_K, TYPE_Q5_K, TYPE_Q6_K};
const size_t quantise_case_type_count = sizeof quantise_case_types / sizeof *quantise_case_types;

/* -1 to 1 in steps of 2^-20, so that sums and products of a few are exact. */
static float flat(uint64_t seed, uint64_t index, uint64_t which)
{
    return (float)(int32_t)(hash_words3(seed, index, which) >> 43) * 0x1p-20f - 1;
}

static float bell(uint64_t seed, uint64_t index)
{
    return flat(seed, index, 0) + flat(seed, index, 1) + flat(seed, index, 2) + flat(seed, index, 3);
}

static float draw(enum quantise_kind kind, uint64_t seed, uint64_t index)
{
    const float x = bell(seed, index);
    const uint64_t choice = hash_words3(seed, index, 4);

    switch (kind) {
    case QUANTISE_BELL:
        return x * 0.05f;
    case QUANTISE_FLAT:
        return flat(seed, index, 0);
    case QUANTISE_HEAVY:
        return x * x * x * 0.1f;
    case QUANTISE_SPARSE:
        return choice % 8 == 0 ? x : 0;
    case QUANTISE_OUTLIER:
        return index % 256 == 77 ? 50 * x : x;
    case QUANTISE_POSITIVE:
        return flat(seed, index, 0) + 1.5f;
    case QUANTISE_NEGATIVE:
        return flat(seed, index, 0) - 1.5f;
    case QUANTISE_EQUAL:
        return flat(seed, index / 256, 0);
    case QUANTISE_TERNARY:
        return ((float)(choice % 3) - 1) * 0.7f;
    case QUANTISE_SMALL:
        return x * 1e-5f;
    case QUANTISE_LARGE:
        return x * 1000;
    case QUANTISE_KINDS:
        break;
    }
    assert(!"a kind of values");
    return 0;
}

void quantise_case_fill(enum quantise_kind kind, uint64_t seed, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = draw(kind, seed, i);
}

void quantise_case_round_trip(enum tensor_type type, const float *values, size_t count, float *result)
{
    static uint8_t packed[VALUES_MAX * 4];

    assert(count <= VALUES_MAX);
    quantise(type, values, count, packed);
    tensor_type_dequantise(type, packed, count, result);
}

double quantise_case_squares(const float *a, const float *b, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* The range of a type: groups of values, q from lowest to highest. Without scale_steps, the scale of a group is an f16 number; otherwise it
 * is that many steps of an f16 number that all groups share. */
struct shape {
    int group, lowest, highest, scale_steps;
    bool has_minimum;
};

static struct shape shape_of(enum tensor_type type)
{
    switch (type) {
    case TYPE_Q8_0:
        return (struct shape){32, -127, 127, 0, false};
    case TYPE_Q4_0:
        return (struct shape){32, -8, 7, 0, false};
    case TYPE_Q4_1:
        return (struct shape){32, 0, 15, 0, true};
    case TYPE_Q5_0:
        return (struct shape){32, -16, 15, 0, false};
    case TYPE_Q5_1:
        return (struct shape){32, 0, 31, 0, true};
    case TYPE_Q2_K:
        return (struct shape){16, 0, 3, 15, true};
    case TYPE_Q3_K:
        return (struct shape){16, -4, 3, 32, false};
    case TYPE_Q4_K:
        return (struct shape){32, 0, 15, 63, true};
    case TYPE_Q5_K:
        return (struct shape){32, 0, 31, 63, true};
    case TYPE_Q6_K:
        return (struct shape){16, -32, 31, 128, false};
    default:
        assert(!"a type with scales");
        return (struct shape){0};
    }
}

static float as_half(float x)
{
    return canon_f16_to_f32(canon_f32_to_f16(x));
}

/* The scale and offset with which a group's values just fit the range. */
static void fit(const struct shape *shape, const float *x, float *scale, float *offset)
{
    float least = x[0];
    float greatest = x[0];

    for (int i = 1; i < shape->group; i++) {
        least = fminf(least, x[i]);
        greatest = fmaxf(greatest, x[i]);
    }
    if (shape->has_minimum && shape->scale_steps > 0)
        least = fminf(least, 0);
    *offset = shape->has_minimum ? least : 0;
    if (shape->has_minimum)
        *scale = (greatest - least) / (float)shape->highest;
    else
        *scale = (-least > greatest ? least : greatest) / (float)shape->lowest;
}

static float to_steps(float x, float step, float most)
{
    return step == 0 ? 0 : step * fmaxf(-most, fminf(most, nearbyintf(x / step)));
}

/* Round scales and offsets to what can be stored. */
static void store(const struct shape *shape, int groups, float *scale, float *offset)
{
    const float steps = (float)shape->scale_steps;
    float scale_extreme = 0;
    float offset_extreme = 0;

    for (int j = 0; j < groups; j++) {
        scale_extreme = fabsf(scale[j]) > fabsf(scale_extreme) ? scale[j] : scale_extreme;
        offset_extreme = fminf(offset_extreme, offset[j]);
    }
    for (int j = 0; j < groups; j++) {
        scale[j] = steps > 0 ? to_steps(scale[j], as_half(scale_extreme / steps), steps) : as_half(scale[j]);
        offset[j] = steps > 0 ? to_steps(offset[j], as_half(offset_extreme / steps), steps) : as_half(offset[j]);
    }
}

double quantise_case_naive(enum tensor_type type, const float *block)
{
    const struct shape shape = shape_of(type);
    const int groups = tensor_type_info(type)->block_values / shape.group;
    float scale[GROUPS_MAX], offset[GROUPS_MAX];
    double sum = 0;

    for (int j = 0; j < groups; j++)
        fit(&shape, block + j * shape.group, &scale[j], &offset[j]);
    store(&shape, groups, scale, offset);
    for (int i = 0; i < groups * shape.group; i++) {
        const int j = i / shape.group;
        const float q = scale[j] == 0 ? 0 : nearbyintf((block[i] - offset[j]) / scale[j]);
        const float clamped = fmaxf((float)shape.lowest, fminf((float)shape.highest, q));
        const double error = (double)(scale[j] * clamped + offset[j]) - (double)block[i];

        sum += error * error;
    }
    return sum;
}
