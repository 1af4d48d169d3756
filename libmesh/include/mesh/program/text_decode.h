/* Text of unknown origin: decoding UTF-8 strictly, and showing it on a terminal without letting it act there. */
#ifndef MESH_PROGRAM_TEXT_DECODE_H
#define MESH_PROGRAM_TEXT_DECODE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The character at the start of bytes[0..size-1], size > 0 (asserted). Returns how many bytes it takes and writes its code point; what is
 * no character (overlong, surrogate, above U+10FFFF, cut off) returns the number of bytes to skip, 1 to 3, and writes
 * TEXT_DECODE_INVALID. */
#define TEXT_DECODE_INVALID UINT32_MAX
size_t text_decode(const char *bytes, size_t size, uint32_t *code_point);

/* Print bytes so that a terminal shows them and does nothing else: control characters, marks that change the writing direction and bytes
 * that are no UTF-8 as \n, \t, \xNN or \u{NNNN}, a backslash doubled. */
void text_decode_print(FILE *out, const char *bytes, size_t size);

/* Print what a model or another node has written: byte for byte, but on a terminal control characters other than newlines and tabs, and
 * bytes that are no UTF-8, as text_decode_print does. */
void text_decode_write(FILE *out, const char *bytes, size_t size);

/* As text_decode_print, in place, for a line that is printed later: each byte of what a terminal would act on, or that is no UTF-8, becomes
 * a question mark. Newlines stay. */
void text_decode_disarm(char *text);

#endif
