#include "chat_turns.h"

#include <assert.h>
#include <string.h>

#include "node/common/bytes.h"

static const char *const names[] = {[CHAT_SYSTEM] = "system", [CHAT_USER] = "user", [CHAT_ASSISTANT] = "assistant"};

bool chat_turns_put(char *packed, size_t capacity, size_t *size, const struct chat_turn *turn)
{
    struct bytes out = bytes_writer((uint8_t *)packed + *size, capacity - *size);

    assert(*size <= capacity && turn->role <= CHAT_ASSISTANT);
    if (turn->text_size > UINT32_MAX || capacity - *size < CHAT_TURN_OVERHEAD || turn->text_size > capacity - *size - CHAT_TURN_OVERHEAD)
        return false;
    bytes_put_u8(&out, (uint8_t)turn->role);
    bytes_put_u32(&out, (uint32_t)turn->text_size);
    if (turn->text_size > 0)
        memcpy(packed + *size + CHAT_TURN_OVERHEAD, turn->text, turn->text_size);
    *size += CHAT_TURN_OVERHEAD + turn->text_size;
    return true;
}

int chat_turns_next(const char **packed, size_t *size, struct chat_turn *turn)
{
    struct bytes in = bytes_reader((const uint8_t *)*packed, *size);
    uint8_t role;
    size_t text_size;

    if (*size == 0)
        return 0;
    role = bytes_get_u8(&in);
    text_size = bytes_get_u32(&in);
    if (!bytes_advance(&in, text_size) || role > CHAT_ASSISTANT)
        return -1;
    *turn = (struct chat_turn){.role = (enum chat_role)role, .text = *packed + CHAT_TURN_OVERHEAD, .text_size = text_size};
    *packed += bytes_size(&in);
    *size -= bytes_size(&in);
    return 1;
}

static int fail_malformed(unsigned number, const char *packed, struct fail *fail)
{
    const unsigned role = (unsigned char)packed[0];

    if (role > CHAT_ASSISTANT)
        return fail_set(fail, EXIT_USAGE, "conversation: turn %u has role %u, which is unknown: give 0 (system), 1 (user) or 2 (assistant)",
                        number, role);
    return fail_set(fail, EXIT_USAGE, "conversation: turn %u is cut short: give all of it", number);
}

/* May a turn of this role follow that one; `last` is -1 before the first turn? */
static int check_order(unsigned number, int last, enum chat_role role, struct fail *fail)
{
    if (role == CHAT_SYSTEM && last >= 0)
        return fail_set(fail, EXIT_USAGE, "conversation: turn %u is a system text: give one at most, before all other turns", number);
    if (role == CHAT_ASSISTANT && last != CHAT_USER && last != CHAT_ASSISTANT)
        return fail_set(fail, EXIT_USAGE, "conversation: turn %u is the assistant's, but nobody has spoken to it: begin with the user's",
                        number);
    if ((int)role == last)
        return fail_set(fail, EXIT_USAGE, "conversation: turns %u and %u are both the %s's: user and assistant have to alternate",
                        number - 1, number, names[role]);
    return 0;
}

int chat_turns_check(const char *packed, size_t size, struct fail *fail)
{
    struct chat_turn turn;
    unsigned number = 0;
    int last = -1, result;

    while ((result = chat_turns_next(&packed, &size, &turn)) > 0) {
        if (check_order(++number, last, turn.role, fail) < 0)
            return -1;
        last = (int)turn.role;
    }
    if (result < 0)
        return fail_malformed(number + 1, packed, fail);
    if (number == 0)
        return fail_set(fail, EXIT_USAGE, "conversation: no turn: give at least one, the user's");
    if (last != CHAT_USER)
        return fail_set(fail, EXIT_USAGE, "conversation: the last turn is the %s's, so there is no question: end with the user's",
                        names[last]);
    return 0;
}
