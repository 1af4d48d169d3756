#include "tokenizer_turns.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_merge.h"

enum { ROOM_MIN = 256 };

struct writer {
    const struct tokenizer *tokenizer;
    struct tokenizer_layout out;
    size_t text_room, fragment_room;
    bool lacks_memory;
};

static bool make_text_room(struct writer *w, size_t bytes)
{
    const size_t room = 2 * w->text_room + bytes + ROOM_MIN;
    char *grown;

    if (w->out.size + bytes <= w->text_room)
        return true;
    grown = realloc(w->out.text, room);
    if (grown == NULL)
        return false;
    w->out.text = grown;
    w->text_room = room;
    return true;
}

static bool make_fragment_room(struct writer *w, size_t fragments)
{
    const size_t room = 2 * w->fragment_room + fragments + ROOM_MIN;
    struct tokenizer_fragment *grown;

    if (w->out.count + fragments <= w->fragment_room)
        return true;
    grown = realloc(w->out.fragments, room * sizeof *grown);
    if (grown == NULL)
        return false;
    w->out.fragments = grown;
    w->fragment_room = room;
    return true;
}

static bool make_room(struct writer *w, size_t bytes, size_t fragments)
{
    w->lacks_memory |= !make_text_room(w, bytes) || !make_fragment_room(w, fragments);
    return !w->lacks_memory;
}

static void put_text(struct writer *w, const char *text, size_t size)
{
    struct tokenizer_layout *out = &w->out;

    if (size == 0 || !make_room(w, size, 1))
        return;
    if (out->count == 0 || out->fragments[out->count - 1].id >= 0)
        out->fragments[out->count++] = (struct tokenizer_fragment){.offset = out->size, .id = -1};
    memcpy(out->text + out->size, text, size);
    out->size += size;
    out->fragments[out->count - 1].size += size;
}

static void put_token(struct writer *w, int64_t id)
{
    if (make_room(w, 0, 1))
        w->out.fragments[w->out.count++] = (struct tokenizer_fragment){.id = id};
}

static void put_words(struct writer *w, const struct tokenizer_chat_words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        if (words->part[i].id >= 0)
            put_token(w, words->part[i].id);
        else
            put_text(w, words->part[i].text, words->part[i].size);
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip(struct chat_turn *turn, size_t size)
{
    turn->text += size;
    turn->text_size -= size;
}

static void trim_begin(struct chat_turn *turn)
{
    while (turn->text_size > 0 && is_space(turn->text[0]))
        skip(turn, 1);
}

/* Takes spaces back that were put after the first `begin` bytes, and after the last token. */
static void trim_end(struct writer *w, size_t begin)
{
    struct tokenizer_layout *out = &w->out;

    while (!w->lacks_memory && out->size > begin && out->fragments[out->count - 1].id < 0 && is_space(out->text[out->size - 1])) {
        out->size--;
        if (--out->fragments[out->count - 1].size == 0)
            out->count--;
    }
}

/* What the model thought before it answered is not shown to it again. */
static void drop_thoughts(const struct tokenizer_chat *chat, struct chat_turn *turn)
{
    static const char mark[] = "</think>";
    const size_t mark_size = sizeof mark - 1;
    const char *found;
    bool is_found = false;

    while (chat->drops_thoughts && (found = memmem(turn->text, turn->text_size, mark, mark_size)) != NULL) {
        skip(turn, (size_t)(found - turn->text) + mark_size);
        is_found = true;
    }
    while (is_found && chat->drops_newlines && turn->text_size > 0 && turn->text[0] == '\n')
        skip(turn, 1);
}

/* `system`, if it is not NULL, stands with what the user says, and is trimmed together with it. */
static void put_turn(struct writer *w, struct chat_turn turn, const struct chat_turn *system)
{
    const struct tokenizer_chat *chat = &w->tokenizer->chat;
    const bool trims = turn.role == CHAT_ASSISTANT ? chat->trims_answers : chat->trims;
    size_t begin;

    put_words(w, &chat->before[turn.role]);
    begin = w->out.size;
    if (system != NULL) {
        put_words(w, &chat->before[CHAT_SYSTEM]);
        put_text(w, system->text, system->text_size);
        put_words(w, &chat->after[CHAT_SYSTEM]);
    }
    if (turn.role == CHAT_ASSISTANT)
        drop_thoughts(chat, &turn);
    if (trims && system == NULL)
        trim_begin(&turn);
    put_text(w, turn.text, turn.text_size);
    if (trims)
        trim_end(w, begin);
    put_words(w, &chat->after[turn.role]);
}

/* The system text is a turn, or waits for the one with which it stands. */
static void put_turns(struct writer *w, const char *packed, size_t size)
{
    const struct tokenizer *t = w->tokenizer;
    struct chat_turn turn, system = {0};
    bool has_system = false, is_first = true;

    while (chat_turns_next(&packed, &size, &turn) > 0) {
        const bool is_there = t->chat.system == TOKENIZER_CHAT_SYSTEM_LAST ? size == 0 : is_first;

        if (turn.role == CHAT_SYSTEM && t->chat.system != TOKENIZER_CHAT_SYSTEM_TURN) {
            system = turn;
            has_system = true;
            continue;
        }
        if (turn.role == CHAT_USER && !is_first && t->chat.repeats_bos && t->bos >= 0)
            put_token(w, t->bos);
        put_turn(w, turn, has_system && is_there && turn.role == CHAT_USER ? &system : NULL);
        is_first &= turn.role == CHAT_SYSTEM;
    }
    put_words(w, &t->chat.prompt);
}

int tokenizer_turns_lay_out(const struct tokenizer *tokenizer, const char *packed, size_t size, struct tokenizer_layout *layout,
                            struct fail *fail)
{
    const int result = tokenizer_check_turns(tokenizer, packed, size, fail);
    struct writer w = {.tokenizer = tokenizer};

    assert(result == 0);
    put_turns(&w, packed, size);
    make_room(&w, 0, w.out.size + 1);
    if (w.lacks_memory) {
        free(w.out.text);
        free(w.out.fragments);
        return merge_fail_memory(fail);
    }
    *layout = w.out;
    return 0;
}

static bool has_id(const struct tokenizer_chat_words *words, uint32_t id)
{
    for (size_t i = 0; i < words->count; i++)
        if (words->part[i].id == (int64_t)id)
            return true;
    return false;
}

bool tokenizer_turns_is_form(const struct tokenizer_chat *chat, uint32_t id)
{
    for (size_t role = 0; role < TOKENIZER_CHAT_ROLES; role++)
        if (has_id(&chat->before[role], id) || has_id(&chat->after[role], id))
            return true;
    return has_id(&chat->prompt, id);
}
