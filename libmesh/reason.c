/* Refusals in words: what: why: what to do. Written without stdio, as the core uses none. */
#include "core.h"

#include <assert.h>
#include <string.h>

struct text {
    char *at, *end; /* end: where the terminating zero goes at the latest */
};

static void add(struct text *text, const char *words)
{
    while (*words && text->at < text->end)
        *text->at++ = *words++;
    *text->at = '\0';
}

static void add_number(struct text *text, uint64_t value)
{
    char digits[21];
    char *digit = digits + sizeof digits - 1;

    *digit = '\0';
    do {
        *--digit = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    add(text, digit);
}

static void add_hex(struct text *text, uint64_t value)
{
    char digits[17];

    for (unsigned i = 0; i < 16; i++)
        digits[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    digits[16] = '\0';
    add(text, digits);
}

static const struct {
    const char *what, *advice;
    bool is_hex;
} reasons[] = {
    [MESH_REFUSE_VERSION] = {"protocol version", "run one release everywhere", false},
    [MESH_REFUSE_EPOCH] = {"epoch", "start all nodes for the same epoch", false},
    [MESH_REFUSE_RANK_COUNT] = {"rank count", "give all nodes the same list of members", false},
    [MESH_REFUSE_PHASE_COUNT] = {"phases per step", "give all nodes the same model", false},
    [MESH_REFUSE_FINGERPRINT] = {"model fingerprint", "give all nodes the same model file", true},
    [MESH_REFUSE_CONFIGURATION] = {"configuration hash", "start all nodes with the same options", true},
    [MESH_REFUSE_INCARNATION] = {"process incarnation", "it restarted: restart the others too", true},
    [MESH_REFUSE_STRANGER] = {"address", "give all nodes the same list of members", false},
};

void mesh_reason_write(char out[MESH_REASON_BYTES], uint16_t rank, bool is_theirs, const struct mesh_refuse *refuse)
{
    struct text text = {out, out + MESH_REASON_BYTES - 1};
    /* Theirs: they found what is ours. */
    uint64_t rank_has = is_theirs ? refuse->expected : refuse->found;
    uint64_t we_have = is_theirs ? refuse->found : refuse->expected;

    assert(refuse->reason >= MESH_REFUSE_VERSION && refuse->reason <= MESH_REFUSE_STRANGER);
    add(&text, "rank ");
    add_number(&text, rank);
    if (refuse->reason == MESH_REFUSE_STRANGER) {
        add(&text, " does not know this node's address for its rank");
    } else {
        add(&text, is_theirs ? " refuses this node: its " : ": its ");
        add(&text, reasons[refuse->reason].what);
        add(&text, " is ");
        (reasons[refuse->reason].is_hex ? add_hex : add_number)(&text, rank_has);
        add(&text, ", this node's is ");
        (reasons[refuse->reason].is_hex ? add_hex : add_number)(&text, we_have);
    }
    add(&text, ": ");
    add(&text, reasons[refuse->reason].advice);
}
