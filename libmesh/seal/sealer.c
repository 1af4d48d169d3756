/* Datagrams of one epoch: the keys of its ranks, which one opens what, and why something was not opened.
 *
 * What the readable header tells is checked first: that costs nothing, and says more than a tag that does not fit.
 *
 * Every rank begins with ChaCha20-Poly1305, and says in each datagram whether it computes AES in hardware. A rank that has heard so from
 * all others uses AES from then on. Nothing has to be agreed on: each datagram says how it was sealed, and the tag covers both flags. */
#include <string.h>

#include "mesh/seal.h"
#include "mesh/wire.h"

const char *mesh_seal_refusal_name(enum mesh_seal_refusal refusal)
{
    static const char *const names[] = {
        [MESH_SEAL_FOREIGN] = "foreign", [MESH_SEAL_PLAIN] = "plain",   [MESH_SEAL_MODE] = "mode",
        [MESH_SEAL_EPOCH] = "epoch",     [MESH_SEAL_SENDER] = "sender", [MESH_SEAL_TAG] = "tag",
    };
    _Static_assert(sizeof names / sizeof *names == MESH_SEAL_REFUSALS, "each reason has a word");

    return (unsigned)refusal < MESH_SEAL_REFUSALS ? names[refusal] : "?";
}

static uint64_t sealer_all(const struct mesh_sealer *sealer)
{
    return ~UINT64_C(0) >> (MESH_RANKS_MAX - sealer->rank_count);
}

/* Without memory for it there is no AES, and all is well. */
static void sealer_make_aes(struct mesh_sealer *sealer)
{
    for (uint16_t rank = 0; rank < sealer->rank_count; rank++) {
        sealer->aes[rank] = mesh_aes_new(&sealer->keys[rank]);
        if (sealer->aes[rank] == NULL) {
            while (rank-- > 0) {
                mesh_aes_free(sealer->aes[rank]);
                sealer->aes[rank] = NULL;
            }
            return;
        }
    }
    sealer->aes_ranks = UINT64_C(1) << sealer->rank;
}

int mesh_sealer_init(struct mesh_sealer *sealer, const struct mesh_sealer_config *config)
{
    int err = 0;

    memset(sealer, 0, sizeof *sealer);
    if (config->rank_count == 0 || config->rank_count > MESH_RANKS_MAX || config->rank >= config->rank_count)
        return MESH_EINVAL;
    sealer->security = config->security;
    sealer->epoch = config->epoch;
    sealer->rank = config->rank;
    sealer->rank_count = config->rank_count;
    if (config->security == MESH_SECURITY_NONE)
        return 0;
    if (config->epoch == 0)
        return MESH_EINVAL;
    memcpy(sealer->epoch_id, config->epoch_id, sizeof sealer->epoch_id);
    for (uint16_t rank = 0; rank < config->rank_count && err == 0; rank++) {
        err = mesh_seal_key_of_epoch(&sealer->keys[rank], config->key, config->cluster, config->epoch, config->epoch_id,
                                     config->incarnation[rank]);
    }
    if (err != 0)
        mesh_sealer_release(sealer);
    else if (!config->has_no_aes && mesh_aes_is_fast())
        sealer_make_aes(sealer);
    return err;
}

void mesh_sealer_release(struct mesh_sealer *sealer)
{
    for (uint16_t rank = 0; rank < sealer->rank_count; rank++)
        mesh_aes_free(sealer->aes[rank]);
    mesh_wipe(sealer, sizeof *sealer);
}

int mesh_sealer_seal(struct mesh_sealer *sealer, uint8_t *packet, size_t bytes)
{
    struct mesh_aes *aes = sealer->aes[sealer->rank];
    int err;

    if (mesh_sealer_uses_aes(sealer)) {
        err = mesh_seal_packet_aes(aes, sealer->security, packet, bytes);
    } else {
        if (aes != NULL && bytes >= MESH_HEADER_BYTES)
            packet[offsetof(struct mesh_header_bytes, flags)] |= MESH_FLAG_AES_READY;
        err = mesh_seal_packet(&sealer->keys[sealer->rank], sealer->security, packet, bytes);
    }
    sealer->sealed += err == 0;
    return err;
}

bool mesh_sealer_uses_aes(const struct mesh_sealer *sealer)
{
    return sealer->security != MESH_SECURITY_NONE && __atomic_load_n(&sealer->aes_ranks, __ATOMIC_RELAXED) == sealer_all(sealer);
}

static int sealer_refuse(struct mesh_sealer *sealer, enum mesh_seal_refusal refusal, int err)
{
    sealer->refused[refusal]++;
    return err;
}

/* Only the owner writes; others may ask meanwhile which cipher is used. Builtins, as C++ reads the struct, too, and has no _Atomic. */
static void sealer_note_aes(struct mesh_sealer *sealer, uint16_t rank)
{
    const uint64_t ranks = __atomic_load_n(&sealer->aes_ranks, __ATOMIC_RELAXED);

    if ((ranks >> rank & 1) == 0)
        __atomic_store_n(&sealer->aes_ranks, ranks | UINT64_C(1) << rank, __ATOMIC_RELAXED);
}

/* Of a rank whose flags are those of header. */
static int sealer_unseal(struct mesh_sealer *sealer, const struct mesh_header *header, uint8_t *packet, size_t bytes)
{
    struct mesh_aes *aes = sealer->aes[header->src];
    int err;

    if ((header->flags & MESH_FLAG_AES) == 0)
        err = mesh_open_packet(&sealer->keys[header->src], sealer->security, packet, bytes);
    else
        err = aes != NULL ? mesh_open_packet_aes(aes, sealer->security, packet, bytes) : MESH_EAUTH;
    if (err == 0 && aes != NULL && (header->flags & (MESH_FLAG_AES | MESH_FLAG_AES_READY)) != 0)
        sealer_note_aes(sealer, header->src);
    return err;
}

int mesh_sealer_open(struct mesh_sealer *sealer, uint8_t *packet, size_t bytes)
{
    const bool expects_sealed = sealer->security == MESH_SECURITY_SEAL;
    struct mesh_header header;
    int err;

    if (sealer->security == MESH_SECURITY_NONE)
        return 0;
    err = mesh_wire_decode_header(packet, bytes, &header);
    if (err != 0)
        return sealer_refuse(sealer, MESH_SEAL_FOREIGN, err);
    if ((header.flags & MESH_FLAG_AUTHENTICATED) == 0)
        return sealer_refuse(sealer, MESH_SEAL_PLAIN, MESH_EAUTH);
    if (((header.flags & MESH_FLAG_SEALED) != 0) != expects_sealed)
        return sealer_refuse(sealer, MESH_SEAL_MODE, MESH_EAUTH);
    if (header.epoch != sealer->epoch)
        return sealer_refuse(sealer, MESH_SEAL_EPOCH, MESH_EEPOCH);
    if (header.src >= sealer->rank_count || header.src == sealer->rank || (header.dst != sealer->rank && header.dst != MESH_DST_ALL))
        return sealer_refuse(sealer, MESH_SEAL_SENDER, MESH_ESENDER);
    err = sealer_unseal(sealer, &header, packet, bytes);
    if (err != 0)
        return sealer_refuse(sealer, MESH_SEAL_TAG, err);
    sealer->opened++;
    return 0;
}
