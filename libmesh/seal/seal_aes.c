/* Which library computes AES-256-GCM: the first that can open datagrams, of those that the build has (docs/adr/0018). */
#include <pthread.h>
#include <string.h>

#include "mesh/err.h"
#include "seal_aes_library.h"

enum { AES_LIBRARIES = 2 };

/* Test case 14 of the authors of GCM: a key, a nonce and a text of zeros. */
static const uint8_t aes_zeros[MESH_AES_KEY_BYTES];
static const uint8_t aes_sealed[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
                                     0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};

static struct {
    bool is_tried;
    const struct mesh_aes_library *library; /* the one in use; NULL: none opens datagrams */
    bool is_fast;                           /* and it seals them, with the processor's instructions */
} aes_choice;

int mesh_aes_try(const struct mesh_aes_library *library, bool *seals, bool *opens)
{
    const size_t text_bytes = sizeof aes_sealed - MESH_AES_TAG_BYTES;
    uint8_t made[sizeof aes_sealed] = {0};
    const int err = library->start();
    struct mesh_aes *aes = err == 0 ? library->open(aes_zeros) : NULL;

    *seals = *opens = false;
    if (aes == NULL)
        return err;
    *seals = library->encrypt(aes, made, text_bytes, made + text_bytes, aes_zeros, 0, aes_zeros) == 0 &&
             memcmp(made, aes_sealed, sizeof aes_sealed) == 0;
    memcpy(made, aes_sealed, sizeof made);
    *opens = library->decrypt(aes, made, text_bytes, aes_sealed + text_bytes, aes_zeros, 0, aes_zeros) == 0 &&
             memcmp(made, aes_zeros, text_bytes) == 0;
    library->close(aes);
    return 0;
}

static void aes_choose(void)
{
    const struct mesh_aes_library *const libraries[AES_LIBRARIES] = {mesh_aes_ipsec_mb, mesh_aes_gcrypt};

    for (size_t i = 0; i < AES_LIBRARIES && aes_choice.library == NULL; i++) {
        bool seals, opens;

        if (libraries[i] == NULL)
            continue;
        if (mesh_aes_try(libraries[i], &seals, &opens) == MESH_AGAIN)
            return; /* the next call tries again */
        if (opens) {
            aes_choice.library = libraries[i];
            aes_choice.is_fast = seals && libraries[i]->has_instructions();
        }
    }
    aes_choice.is_tried = true;
}

bool mesh_aes_is_available(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool is_available;

    pthread_mutex_lock(&lock);
    if (!aes_choice.is_tried)
        aes_choose();
    is_available = aes_choice.library != NULL;
    pthread_mutex_unlock(&lock);
    return is_available;
}

const char *mesh_aes_library(void)
{
    return mesh_aes_is_available() ? aes_choice.library->name : NULL;
}

bool mesh_aes_is_fast(void)
{
    return mesh_aes_is_available() && aes_choice.is_fast;
}

struct mesh_aes *mesh_aes_of(const uint8_t key[MESH_AES_KEY_BYTES])
{
    return mesh_aes_is_available() ? aes_choice.library->open(key) : NULL;
}

void mesh_aes_free(struct mesh_aes *aes)
{
    if (aes != NULL)
        aes_choice.library->close(aes);
}

int mesh_aes_encrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    return aes_choice.library->encrypt(aes, text, text_bytes, tag, covered, covered_bytes, nonce);
}

int mesh_aes_decrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    return aes_choice.library->decrypt(aes, text, text_bytes, tag, covered, covered_bytes, nonce);
}
