/* Tokenizer from GGUF metadata: SentencePiece style (tokenizer.ggml.model = "llama") or byte-level BPE ("gpt2").
 *
 * SentencePiece: pieces with scores, merged best score first (ties: leftmost); text without a piece falls back to <0xNN> byte tokens.
 * Byte-level BPE: the text is cut into words as tokenizer.ggml.pre says (pretoken.h); in each, bytes are merged in the order of
 * tokenizer.ggml.merges; a byte without a token becomes the unknown token, or U+FFFD. Control tokens are never made from text. Immutable
 * after opening: any thread may use it. */
#ifndef NODE_TOKENIZER_H
#define NODE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/gguf/gguf.h"

struct tokenizer;

/* Checks every piece, score, type and merge; another tokenizer model, or an unknown way to cut a text, is refused by its name. Copies what
 * it needs: gguf may be closed. */
struct tokenizer *tokenizer_open(const struct gguf *gguf, struct fail *fail);
/* The same for a model with that many tokens: a tokenizer with more is refused. */
struct tokenizer *tokenizer_open_for(const struct gguf *gguf, uint32_t vocab, struct fail *fail);
void tokenizer_close(struct tokenizer *tokenizer); /* NULL is fine */

uint32_t tokenizer_count(const struct tokenizer *tokenizer);
int64_t tokenizer_bos(const struct tokenizer *tokenizer); /* id or -1 */
int64_t tokenizer_eos(const struct tokenizer *tokenizer); /* id or -1 */

/* EOS, and EOT/EOM where the file names them; of byte-level BPE also control tokens that are called like one, as <|im_end|>. */
bool tokenizer_is_end(const struct tokenizer *tokenizer, uint32_t id);

/* Is a space put before a text, which generated text then begins with? */
bool tokenizer_puts_space(const struct tokenizer *tokenizer);

/* Ids of a prompt: BOS first (and EOS last) when the file asks for it and `special` is set, then the text. Any bytes are accepted.
 * *ids is allocated (caller frees with free), *count its length. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t text_size, bool special, uint32_t **ids, size_t *count,
                     struct fail *fail);

/* Can the model be asked questions? -1 with fail set: its file does not say how, or says it in a way that is not known. */
int tokenizer_check_chat(const struct tokenizer *tokenizer, struct fail *fail);

/* Can these turns (chat_turns.h) be put into its form? -1 with fail set, EXIT_USAGE: it has none, they are no conversation, or the form has
 * no place for one of them. */
int tokenizer_check_turns(const struct tokenizer *tokenizer, const char *packed, size_t size, struct fail *fail);

/* As tokenizer_encode with `special`, of the turns of a conversation: put into the form that the file's tokenizer.chat_template describes.
 * Tokens that tell who speaks come from that form alone, never from a turn's text. tokenizer_check_turns has to hold (asserted). */
int tokenizer_encode_chat(const struct tokenizer *tokenizer, const char *packed, size_t size, uint32_t **ids, size_t *count,
                          struct fail *fail);

/* tokenizer_encode in bounded pieces of work, with the same ids; word by word if the vocabulary allows it, which is many times faster.
 * run: *work is how many symbols of the text may be read or joined, and what is left of them; 1: done, 0: *work is used up, -1 with fail
 * set. take: once, after 1; the caller frees *ids. The text is borrowed until close. */
struct tokenizer_encoding *tokenizer_encoding_open(const struct tokenizer *tokenizer, const char *text, size_t text_size, bool special,
                                                   struct fail *fail);
/* The same for tokenizer_encode_chat. The turns are copied. */
struct tokenizer_encoding *tokenizer_encoding_open_chat(const struct tokenizer *tokenizer, const char *packed, size_t size,
                                                        struct fail *fail);
int tokenizer_encoding_run(struct tokenizer_encoding *encoding, size_t *work, struct fail *fail);
void tokenizer_encoding_take(struct tokenizer_encoding *encoding, uint32_t **ids, size_t *count);
void tokenizer_encoding_close(struct tokenizer_encoding *encoding); /* NULL is fine */

/* The least number of ids of a text of this size: no id stands for more bytes than the longest piece. */
size_t tokenizer_ids_min(const struct tokenizer *tokenizer, size_t text_size);

/* The bytes of one token as generated text: U+2581 of SentencePiece shown as a space, byte tokens and pieces of byte-level BPE as their
 * bytes, control and unknown tokens as nothing.
 * *size may be 0; the pointer is valid as long as the tokenizer. An id beyond the vocabulary is asserted. */
const char *tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id, size_t *size);

/* Turns a stream of pieces into valid UTF-8: holds back an unfinished character, replaces what can never become one, and NUL, by U+FFFD.
 * Starts as {0}; set is_first when no prompt precedes: the one space that SentencePiece puts before a text is then dropped. */
struct utf8_stream {
    unsigned char held[4];
    uint8_t held_size;
    bool is_first;
};
enum { UTF8_STREAM_GROWTH = 3 }; /* out needs (size + 4) * UTF8_STREAM_GROWTH bytes at most */
size_t utf8_stream_push(struct utf8_stream *stream, const char *bytes, size_t size, char *out);
size_t utf8_stream_flush(struct utf8_stream *stream, char *out); /* what is still held becomes U+FFFD */

#endif
