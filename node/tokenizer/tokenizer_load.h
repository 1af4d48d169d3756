/* Reads and checks a vocabulary: the parts for which its kind matters, and what they share.
 *
 * Functions return 0, or -1 with fail set, unless they say otherwise. */
#ifndef NODE_TOKENIZER_LOAD_H
#define NODE_TOKENIZER_LOAD_H

#include "tokenizer_vocab.h"

#define TOKENIZER_KEY_TOKENS  "tokenizer.ggml.tokens"
#define TOKENIZER_KEY_TYPES   "tokenizer.ggml.token_type"
#define TOKENIZER_KEY_BOS     "tokenizer.ggml.bos_token_id"
#define TOKENIZER_KEY_EOS     "tokenizer.ggml.eos_token_id"
#define TOKENIZER_KEY_UNKNOWN "tokenizer.ggml.unknown_token_id"

/* ---- tokenizer_load.c ---- */

/* An array of `count` elements (any number when count is 0). Returns 1, 0 when absent and not required, or -1. */
int tokenizer_find_array(const struct gguf *gguf, const char *key, uint64_t count, bool required, const struct gguf_value **out,
                         struct fail *fail);
int tokenizer_fail_element_type(const struct gguf *gguf, const char *key, const char *expected, struct fail *fail);
int tokenizer_fail_memory(struct fail *fail);
int tokenizer_refuse_overwritten(const struct gguf *gguf, const char *key, struct fail *fail);

/* ---- tokenizer_chat.c ---- */

/* What the file says of questions, at last, as texts are encoded for it. */
int tokenizer_chat_load(struct tokenizer *t, const struct gguf *gguf, struct fail *fail);

/* ---- tokenizer_load_spm.c: tokenizer.ggml.model = "llama" ---- */

int tokenizer_spm_load_scores(struct tokenizer *t, const struct gguf *gguf, struct fail *fail);
void tokenizer_spm_default_ids(struct tokenizer *t, const struct gguf *gguf);
void tokenizer_spm_show(struct piece *piece); /* its shown form, after its text */

/* Once the table of pieces is built. */
int tokenizer_spm_finish(struct tokenizer *t, const struct gguf *gguf, struct fail *fail);

/* The value of "<0xNN>", or -1. */
int tokenizer_spm_byte(const char *text, size_t size);

/* ---- tokenizer_load_bpe.c: tokenizer.ggml.model = "gpt2" ---- */

/* How texts are cut, and whether a BOS goes before them unless the file says otherwise. */
int tokenizer_bpe_load_rule(struct tokenizer *t, const struct gguf *gguf, struct fail *fail);

/* From the text in the file to bytes, which are both its text and its shown form. What stands for no bytes gets an empty text. */
void tokenizer_bpe_show(struct piece *piece);

/* Once the table of pieces is built: the merges, and that every text can be encoded. */
int tokenizer_bpe_finish(struct tokenizer *t, const struct gguf *gguf, struct fail *fail);

#endif
