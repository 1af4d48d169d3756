/* Canonical mathematics: the same bits on every machine.
 *
 * exp, log, sin, cos, pow and silu built from IEEE-754 single (and, where said, double) operations in a fixed order, so that no libm is
 * involved; f16 and bf16 conversion without depending on hardware. Hot functions have no branches, so that a loop over them vectorises and
 * each lane still does exactly these operations. Errors in docs/ARITHMETIC.md. Pure; any thread. */
#ifndef NODE_CANON_H
#define NODE_CANON_H

#include <stdint.h>

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__) || \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "canonical arithmetic does not survive -ffast-math, nor a part of it"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "canonical arithmetic rounds each result to its own type: x87 registers do not (-msse2 -mfpmath=sse)"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers of weights and of the wire are copied as they stand: little-endian machines only"
#endif

_Static_assert(sizeof 1.0 == sizeof(double), "canonical arithmetic has constants of 64 bits: no -fsingle-precision-constant");

#include "canon_inline.h" /* canon_expf, canon_siluf, canon_f16_to_f32, canon_f32_to_f16, canon_bf16_to_f32 */

float canon_logf(float x);                                   /* 0 gives -infinity, less gives NaN */
double canon_pow(double base, double exponent);              /* base > 0, finite; results outside e^-708 .. e^709 are 0 or infinity */
void canon_sincos(double x, float *sin_out, float *cos_out); /* |x| < 2^24 */

#endif
