/* AES-256-GCM by the library of Intel's Multi-Buffer Crypto for IPsec (x86-64): the only file that includes a header of it.
 *
 * It computes several blocks with one instruction where the processor can (VAES), and a datagram of its own costs it a quarter of what it
 * costs libgcrypt (docs/adr/0018). */
#include "seal_aes_library.h"

#ifdef MESH_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/err.h"

_Static_assert(IMB_VERSION_NUM >= 0x10000 && IMB_VERSION_NUM < 0x30000, "libipsec-mb 1 or 2 is needed: make IPSEC_MB= builds without it");

/* The library's functions, chosen for this processor. Its other state, for work in batches, is not used. */
static IMB_MGR *multi_buffer;

/* Which of its implementations this processor and its operating system can run. The library's own choice asks the processor alone, and some
 * hypervisors do not let programs use all that it has: that choice would end with an illegal instruction. */
static void (*ipsec_mb_implementation(void))(IMB_MGR *)
{
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul"))
        return NULL; /* it would compute with tables, whose timing leaks the key */
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return init_mb_mgr_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return init_mb_mgr_avx2;
    return init_mb_mgr_sse;
}

static int ipsec_mb_start(void)
{
    void (*const choose)(IMB_MGR *) = ipsec_mb_implementation();
    IMB_MGR *made;

    if (multi_buffer != NULL)
        return 0;
    made = choose != NULL ? alloc_mb_mgr(0) : NULL;
    if (made == NULL)
        return MESH_EABSENT;
    choose(made); /* it tests itself, too */
    if (imb_get_errno(made) != 0) {
        free_mb_mgr(made);
        return MESH_EABSENT;
    }
    multi_buffer = made;
    return 0;
}

static bool ipsec_mb_has_instructions(void)
{
    return true; /* else it does not start */
}

static struct gcm_key_data *ipsec_mb_key(struct mesh_aes *aes)
{
    return (struct gcm_key_data *)(void *)aes;
}

static struct mesh_aes *ipsec_mb_open(const uint8_t key[MESH_AES_KEY_BYTES])
{
    const size_t line = 64; /* whole ones, as aligned_alloc wants it */
    struct gcm_key_data *expanded = aligned_alloc(line, (sizeof *expanded + line - 1) / line * line);

    if (expanded != NULL)
        IMB_AES256_GCM_PRE(multi_buffer, key, expanded);
    return (struct mesh_aes *)(void *)expanded;
}

static void ipsec_mb_close(struct mesh_aes *aes)
{
    explicit_bzero(aes, sizeof(struct gcm_key_data));
    free(aes);
}

static int ipsec_mb_encrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                            size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    struct gcm_context_data context;

    IMB_AES256_GCM_ENC(multi_buffer, ipsec_mb_key(aes), &context, text, text, text_bytes, nonce, covered, covered_bytes, tag,
                       MESH_AES_TAG_BYTES);
    return 0;
}

/* In constant time. */
static bool ipsec_mb_is_same(const uint8_t a[MESH_AES_TAG_BYTES], const uint8_t b[MESH_AES_TAG_BYTES])
{
    unsigned differs = 0;

    for (size_t i = 0; i < MESH_AES_TAG_BYTES; i++)
        differs |= (unsigned)(a[i] ^ b[i]);
    return differs == 0;
}

static int ipsec_mb_decrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES],
                            const uint8_t *covered, size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    struct gcm_context_data context;
    uint8_t made[MESH_AES_TAG_BYTES];

    IMB_AES256_GCM_DEC(multi_buffer, ipsec_mb_key(aes), &context, text, text, text_bytes, nonce, covered, covered_bytes, made, sizeof made);
    if (ipsec_mb_is_same(made, tag))
        return 0;
    ipsec_mb_encrypt(aes, text, text_bytes, made, covered, covered_bytes, nonce); /* restores what came */
    explicit_bzero(made, sizeof made);                                            /* the tag that would have been right */
    return MESH_EAUTH;
}

static const struct mesh_aes_library ipsec_mb_library = {
    .name = "libipsec-mb",
    .start = ipsec_mb_start,
    .has_instructions = ipsec_mb_has_instructions,
    .open = ipsec_mb_open,
    .close = ipsec_mb_close,
    .encrypt = ipsec_mb_encrypt,
    .decrypt = ipsec_mb_decrypt,
};
const struct mesh_aes_library *const mesh_aes_ipsec_mb = &ipsec_mb_library;
#else
const struct mesh_aes_library *const mesh_aes_ipsec_mb = NULL;
#endif
