/* How a fallible function of a program says what went wrong.
 *
 * The text reads "what: why: what to do"; main.c puts the program's name before it and ends with the
 * exit code. Whatever it was filled in from, nothing in it acts on a terminal. A function that takes a
 * struct fail returns 0, or -1 (NULL for pointers) after fail_set. */
#ifndef MESH_PROGRAM_FAIL_H
#define MESH_PROGRAM_FAIL_H

#include "mesh/program/fail_advice.h"

enum exit_code { EXIT_OK = 0, EXIT_DIFFERENCE = 1, EXIT_USAGE = 2, EXIT_BAD_FILE = 3, EXIT_ENVIRONMENT = 4, EXIT_SKIPPED = 77 };

struct fail {
    enum exit_code exit_code;
    char text[600];
};

/* Fill *fail; always -1, so that callers can write `return fail_set(fail, EXIT_..., format, ...)`. A macro, so that compilers and
 * analysers see that what follows a failure is not reached. */
#define fail_set(...) (fail_fill(__VA_ARGS__), fail_result())

/* The same when an output ("stdout", "--pcap") could not be written, with what to do by errno. */
#define fail_output(fail, output) (fail_fill_output(fail, output), fail_result())

__attribute__((format(printf, 3, 4))) void fail_fill(struct fail *fail, enum exit_code exit_code, const char *format, ...);
void fail_fill_output(struct fail *fail, const char *output);
static inline int fail_result(void)
{
    return -1;
}

#endif
