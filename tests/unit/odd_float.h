/* Floating point in a state in which a thread may come from elsewhere, a plugin or a host that has set it for its own ends. */
#ifndef ODD_FLOAT_H
#define ODD_FLOAT_H

/* This thread rounds upwards and flushes subnormals, of operands and results, as far as this kind of machine can; on aarch64 halves have no
 * infinities. */
void odd_float_set(void);

#endif
