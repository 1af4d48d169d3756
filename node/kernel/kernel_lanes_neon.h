/* Sixteen lanes in four 128-bit registers; see kernel_lanes.h, which includes this. */
#include <arm_neon.h>

enum { LANES_CHAINS = 4, LANES_HEADS = 4 };

struct lanes {
    float32x4_t v[4];
};

KERNEL_INLINE struct lanes lanes_set(float x)
{
    float32x4_t v = vdupq_n_f32(x);

    return (struct lanes){{v, v, v, v}};
}

KERNEL_INLINE struct lanes lanes_load(const void *p)
{
    const uint8_t *bytes = p;

    return (struct lanes){{vreinterpretq_f32_u8(vld1q_u8(bytes)), vreinterpretq_f32_u8(vld1q_u8(bytes + 16)),
                           vreinterpretq_f32_u8(vld1q_u8(bytes + 32)), vreinterpretq_f32_u8(vld1q_u8(bytes + 48))}};
}

KERNEL_INLINE struct lanes lanes_load_f16(const void *p)
{
    float16x8_t lo = vreinterpretq_f16_u8(vld1q_u8(p));
    float16x8_t hi = vreinterpretq_f16_u8(vld1q_u8((const uint8_t *)p + 16));

    return (struct lanes){{vcvt_f32_f16(vget_low_f16(lo)), vcvt_high_f32_f16(lo), vcvt_f32_f16(vget_low_f16(hi)), vcvt_high_f32_f16(hi)}};
}

KERNEL_INLINE struct lanes lanes_load_i8(const void *p)
{
    int8x16_t q = vld1q_s8(p);
    int16x8_t lo = vmovl_s8(vget_low_s8(q));
    int16x8_t hi = vmovl_high_s8(q);

    return (struct lanes){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_high_s16(lo)),
                           vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_high_s16(hi))}};
}

KERNEL_INLINE void lanes_store(float *p, struct lanes a)
{
    for (int i = 0; i < 4; i++)
        vst1q_f32(p + 4 * i, a.v[i]);
}

KERNEL_INLINE struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){{vaddq_f32(a.v[0], b.v[0]), vaddq_f32(a.v[1], b.v[1]), vaddq_f32(a.v[2], b.v[2]), vaddq_f32(a.v[3], b.v[3])}};
}

KERNEL_INLINE struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){{vmulq_f32(a.v[0], b.v[0]), vmulq_f32(a.v[1], b.v[1]), vmulq_f32(a.v[2], b.v[2]), vmulq_f32(a.v[3], b.v[3])}};
}

/* a * b + c, rounded once */
KERNEL_INLINE struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){{vfmaq_f32(c.v[0], a.v[0], b.v[0]), vfmaq_f32(c.v[1], a.v[1], b.v[1]), vfmaq_f32(c.v[2], a.v[2], b.v[2]),
                           vfmaq_f32(c.v[3], a.v[3], b.v[3])}};
}

/* a > b ? a : b */
KERNEL_INLINE struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){{vbslq_f32(vcgtq_f32(a.v[0], b.v[0]), a.v[0], b.v[0]), vbslq_f32(vcgtq_f32(a.v[1], b.v[1]), a.v[1], b.v[1]),
                           vbslq_f32(vcgtq_f32(a.v[2], b.v[2]), a.v[2], b.v[2]), vbslq_f32(vcgtq_f32(a.v[3], b.v[3]), a.v[3], b.v[3])}};
}
