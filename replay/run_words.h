/* Words of a command that is started for a replay: the given ones, then the program's own. */
#ifndef REPLAY_RUN_WORDS_H
#define REPLAY_RUN_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "node/recompute/recompute.h"

enum { RUN_ARGUMENTS_MAX = 160, RUN_WORDS_MAX = RUN_ARGUMENTS_MAX + 64, RUN_VALUES_MAX = 16, RUN_VALUE_BYTES = 32 };

struct run_words {
    const char *word[RUN_WORDS_MAX + 1]; /* (count), then NULL; borrowed, or in value */
    size_t count;
    char value[RUN_VALUES_MAX][RUN_VALUE_BYTES];
    size_t values;
};

/* The value of an option of a command (mesh-node, serve or run, options); NULL: it has none. */
const char *run_words_option(char *const *command, int words, const char *name);

/* -1 with EXIT_USAGE for an option that each node is given here, and if neither `serve` nor its cluster file names a model: all nodes would
 * wait for one. */
int run_words_check(char *const *command, int words, struct fail *fail);

/* An option with its value or, with NULL, without one. There is room (asserted). */
void run_words_add(struct run_words *words, const char *name, const char *value);
void run_words_add_uint(struct run_words *words, const char *name, uint64_t value);

/* A request as options of run and ask: its prompt by the path of a file of token ids, how many tokens, and how they are drawn. */
void run_words_add_request(struct run_words *words, const struct request *request, const char *prompt_path);

/* Write that file. -1 after fail_set. */
int run_words_write_prompt(const struct request *request, const char *path, struct fail *fail);

#endif
