/* How the templates of kernel_dot.h become code: one body per type, its constants folded and its short loops unrolled. Under a sanitizer
 * that would take minutes to compile, so there they are ordinary functions and loops with the same results. */
#ifndef NODE_KERNEL_DOT_INLINE_H
#define NODE_KERNEL_DOT_INLINE_H

#include "kernel.h"

#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DOT_PLAIN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DOT_PLAIN 1
#endif

#ifdef DOT_PLAIN
#define DOT_INLINE static __attribute__((noinline))
#define DOT_UNROLL
#define DOT_UNROLL_ALL
#else
#define DOT_INLINE     static inline __attribute__((always_inline))
#define DOT_UNROLL     _Pragma("GCC unroll 8")
#define DOT_UNROLL_ALL _Pragma("GCC unroll 16")
#endif

/* A token's slice, of several that are x_stride bytes apart. */
DOT_INLINE const struct act_slice *dot_slice(const uint8_t *x, size_t x_stride, size_t token)
{
    return (const void *)(x + token * x_stride);
}

#endif
