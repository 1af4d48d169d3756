/* The floating-point state that a thread may inherit from a plugin or a host that has changed it for its own purposes. */
#ifndef ODD_FLOAT_H
#define ODD_FLOAT_H

/* Make this thread round upwards and flush subnormal operands and results, as far as this architecture can; on aarch64, halves have no
 * infinities. */
void odd_float_set(void);

#endif
