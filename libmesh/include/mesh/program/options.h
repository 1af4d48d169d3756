/* Command-line options of programs and subcommands, driven by a table.
 *
 * A subcommand is a const-like array of struct option_spec; parsing, messages and the help text all come from it. Accepted forms:
 * --name VALUE, --name=VALUE, -n VALUE, -nVALUE, bundled one-letter flags (-ab), and -- after which everything is an operand. When an
 * option is given twice the last one counts, unless its kind is a list. Nothing is copied: texts point into argv. One thread. */
#ifndef MESH_PROGRAM_OPTIONS_H
#define MESH_PROGRAM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mesh/program/fail.h"

enum { OPTION_LIST_MAX = 64, OPTIONS_HELP_COLUMNS = 100 };

enum option_kind {
    OPTION_FLAG,  /* bool *: set to true */
    OPTION_STOP,  /* bool *: set to true, and nothing after it is looked at: --help, --version */
    OPTION_COUNT, /* unsigned *: one more each time it is given */
    OPTION_U32,   /* uint32_t *, decimal */
    OPTION_U64,   /* uint64_t *, decimal */
    OPTION_FLOAT, /* float *, finite */
    OPTION_TEXT,  /* const char **, not empty */
    OPTION_PROSE, /* const char **, may be empty */
    OPTION_LIST,  /* struct option_list *: every occurrence adds one text, not empty */
    OPTION_WORD   /* int *: the index in words; upper and lower case are the same */
};

struct option_list {
    const char *values[OPTION_LIST_MAX];
    size_t count;
};

struct option_spec {
    const char *name; /* without the dashes */
    char short_name;  /* 0: none */
    enum option_kind kind;
    void *target;                /* see the kind; keeps its value (the default) when the option is not given */
    bool *was_set;               /* NULL, or set to true when the option is given */
    uint64_t min, max;           /* of a whole number; max 0: whatever the kind can hold */
    double float_min, float_max; /* of a float, both included; both 0: any finite one */
    const char *const *words;    /* NULL-terminated, for OPTION_WORD */
    const char *metavar;         /* how help and messages call the value; NULL: "N", "X", "TEXT" or the words */
    const char *help;            /* one sentence with the default; NULL: the option is not listed */
};

/* Arguments that are no options ("-" is one too). */
struct options_operands {
    const char *metavar; /* for messages: "MODEL.gguf" */
    size_t min, max;
    const char **values; /* (max), may be NULL when max is 0 */
    bool may_be_empty;   /* each of them; else an empty one is refused */
    size_t count;        /* written */
};

/* Parse argv[0 .. argc-1], which starts after the subcommand's name. operands may be NULL: none allowed. Targets are written as
 * options are read, so after a failure they are to be ignored. Returns 0, or -1 with EXIT_USAGE and a message naming the option.
 * After an OPTION_STOP the number of operands is not checked. */
int options_parse(const struct option_spec *specs, size_t spec_count, int argc, char *const *argv, struct options_operands *operands,
                  struct fail *fail);

/* What messages call the value of an option; NULL for those without one and without metavar. */
const char *option_metavar(const struct option_spec *spec);

/* Print usage lines, the options in the order of the table, and examples. usage and examples are NULL-terminated lists of lines
 * (without the newline); examples may be NULL. Nothing is wider than OPTIONS_HELP_COLUMNS, if the given lines are not. */
void options_help(FILE *out, const char *const *usage, const struct option_spec *specs, size_t spec_count, const char *const *examples);

/* The word nearest to `text` by edit distance (Damerau, adjacent swaps count one), or NULL when none is near enough to be meant.
 * words: NULL-terminated. For "did you mean" of options, subcommands and names of types. */
const char *options_nearest(const char *text, const char *const *words);

#endif
