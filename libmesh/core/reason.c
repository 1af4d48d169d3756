/* Refusals in words: what: why: what to do. */
#include "core.h"

#include <assert.h>

#include "text.h"

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

/* Theirs: they found what is ours. */
uint64_t mesh_reason_theirs(bool is_theirs, const struct mesh_refuse *refuse)
{
    return is_theirs ? refuse->expected : refuse->found;
}

void mesh_reason_write(char out[MESH_REASON_BYTES], uint16_t rank, bool is_theirs, const struct mesh_refuse *refuse)
{
    struct mesh_text text = {out, out + MESH_REASON_BYTES - 1};
    uint64_t rank_has = mesh_reason_theirs(is_theirs, refuse);
    uint64_t we_have = is_theirs ? refuse->found : refuse->expected;

    assert(refuse->reason >= MESH_REFUSE_VERSION && refuse->reason <= MESH_REFUSE_STRANGER);
    mesh_text_add(&text, "rank ");
    mesh_text_add_number(&text, rank);
    if (refuse->reason == MESH_REFUSE_STRANGER) {
        mesh_text_add(&text, " does not know this node's address for its rank");
    } else {
        mesh_text_add(&text, is_theirs ? " refuses this node: its " : ": its ");
        mesh_text_add(&text, reasons[refuse->reason].what);
        mesh_text_add(&text, " is ");
        (reasons[refuse->reason].is_hex ? mesh_text_add_hex : mesh_text_add_number)(&text, rank_has);
        mesh_text_add(&text, ", this node's is ");
        (reasons[refuse->reason].is_hex ? mesh_text_add_hex : mesh_text_add_number)(&text, we_have);
    }
    mesh_text_add(&text, ": ");
    mesh_text_add(&text, reasons[refuse->reason].advice);
}
