/* SHA-256 (FIPS 180-4), for comparing with published checksums in tests. */
#ifndef TESTS_SHA256_H
#define TESTS_SHA256_H

#include <stddef.h>

/* 64 lower-case hexadecimal digits and a NUL. */
void sha256_hex(const void *data, size_t size, char out[65]);

#endif
