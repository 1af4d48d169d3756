/* Sixteen lanes in plain C, the specification of the others; see kernel_lanes.h, which includes this. */
enum { LANES_CHAINS = 1, LANES_HEADS = 1 };

struct lanes {
    float v[LANES];
};

KERNEL_INLINE struct lanes lanes_set(float x)
{
    struct lanes a;

    for (int l = 0; l < LANES; l++)
        a.v[l] = x;
    return a;
}

KERNEL_INLINE struct lanes lanes_load(const void *p)
{
    struct lanes a;

    memcpy(a.v, p, sizeof a.v);
    return a;
}

KERNEL_INLINE struct lanes lanes_load_f16(const void *p)
{
    uint16_t half[LANES];
    struct lanes a;

    memcpy(half, p, sizeof half);
    for (int l = 0; l < LANES; l++)
        a.v[l] = canon_f16_to_f32(half[l]);
    return a;
}

KERNEL_INLINE struct lanes lanes_load_i8(const void *p)
{
    const int8_t *q = p;
    struct lanes a;

    for (int l = 0; l < LANES; l++)
        a.v[l] = (float)q[l];
    return a;
}

KERNEL_INLINE void lanes_store(float *p, struct lanes a)
{
    memcpy(p, a.v, sizeof a.v);
}

KERNEL_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    for (int l = 0; l < LANES; l++)
        a.v[l] = a.v[l] + b.v[l];
    return a;
}

KERNEL_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    for (int l = 0; l < LANES; l++)
        a.v[l] = a.v[l] * b.v[l];
    return a;
}

/* a * b + c, rounded once */
KERNEL_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    for (int l = 0; l < LANES; l++)
        c.v[l] = __builtin_fmaf(a.v[l], b.v[l], c.v[l]);
    return c;
}

/* a > b ? a : b */
KERNEL_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    for (int l = 0; l < LANES; l++)
        a.v[l] = a.v[l] > b.v[l] ? a.v[l] : b.v[l];
    return a;
}
