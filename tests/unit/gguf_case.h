/* A small valid GGUF file in memory, with every kind of value, for tests to damage. */
#ifndef TESTS_GGUF_CASE_H
#define TESTS_GGUF_CASE_H

#include <stddef.h>
#include <stdint.h>

/* Allocated; caller frees. Values: general.architecture "llama", general.alignment 32, test.u32 7, test.f32 1.5, test.flag true,
 * test.words ["one", "", "three"], test.ints [1, -2] (i32), test.floats [0.5]. Tensors: a.weight f32 4x2, b.weight q8_0 64x2,
 * c.weight f32 8. Byte i of the tensor data is i & 63. */
uint8_t *gguf_case_make(size_t *size);

/* The offset of the bytes of text in data; fails the test when they are not there. */
size_t gguf_case_find(const uint8_t *data, size_t size, const char *text);

void gguf_case_store(uint8_t *at, size_t size, uint64_t value);

#endif
