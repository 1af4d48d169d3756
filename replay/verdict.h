/* Results of checks, for people and for CI: lines of text, TAP, JUnit XML. */
#ifndef REPLAY_VERDICT_H
#define REPLAY_VERDICT_H

#include <stddef.h>
#include <stdio.h>

#include "mesh/program/fail.h"

enum verdict_kind { VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP };

struct verdict {
    const char *name;
    enum verdict_kind kind;
    const char *what;   /* in one line: figures, the difference, or why it was skipped */
    const char *detail; /* NULL, or lines that each end with a newline */
    double seconds;
};

void verdict_write_tap(FILE *out, const struct verdict *verdicts, size_t count);

/* suite: its name, e.g. "mesh-replay verify". */
void verdict_write_junit(FILE *out, const char *suite, const struct verdict *verdicts, size_t count);

/* The same into a file, which appears when it is complete, in place of an old one. -1 after fail_set. */
int verdict_save_junit(const char *path, const char *suite, const struct verdict *verdicts, size_t count, struct fail *fail);

#endif
