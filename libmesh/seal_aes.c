/* AES-256-GCM (NIST SP 800-38D) by libgcrypt: the only file that includes a header of it.
 *
 * libgcrypt and not libsodium, which has it for x86-64 alone and takes twice as long (docs/adr/0016). */
#include "seal_aes.h"

#ifdef MESH_HAVE_GCRYPT
#include <gcrypt.h>
#include <pthread.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

/* Contexts are wiped when they are closed; locked memory, of which the library would take 32 kB, is not asked for. A program that has
 * started the library by itself keeps what it has chosen. */
static bool aes_is_started;

static void aes_start(void)
{
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
        if (gcry_check_version(GCRYPT_VERSION) == NULL)
            return;
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    aes_is_started = true;
}

bool mesh_aes_is_available(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    return pthread_once(&once, aes_start) == 0 && aes_is_started;
}

bool mesh_aes_is_fast(void)
{
#if defined __x86_64__
    return mesh_aes_is_available() && __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined __aarch64__
    const unsigned long needed = HWCAP_AES | HWCAP_PMULL;

    return mesh_aes_is_available() && (getauxval(AT_HWCAP) & needed) == needed;
#else
    return false;
#endif
}

/* What the struct stands for is the library's handle. */
static gcry_cipher_hd_t aes_handle(struct mesh_aes *aes)
{
    return (gcry_cipher_hd_t)(void *)aes;
}

struct mesh_aes *mesh_aes_of(const uint8_t key[MESH_AES_KEY_BYTES])
{
    gcry_cipher_hd_t handle;

    if (!mesh_aes_is_available() || gcry_cipher_open(&handle, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_GCM, 0) != 0)
        return NULL;
    if (gcry_cipher_setkey(handle, key, MESH_AES_KEY_BYTES) != 0) {
        gcry_cipher_close(handle);
        return NULL;
    }
    return (struct mesh_aes *)(void *)handle;
}

void mesh_aes_free(struct mesh_aes *aes)
{
    if (aes != NULL)
        gcry_cipher_close(aes_handle(aes));
}

/* The reset is for what came before and did not end with a tag, of which a rest would go into this one. */
static bool aes_begin(gcry_cipher_hd_t handle, const uint8_t *covered, size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    return gcry_cipher_reset(handle) == 0 && gcry_cipher_setiv(handle, nonce, MESH_AES_NONCE_BYTES) == 0 &&
           gcry_cipher_authenticate(handle, covered, covered_bytes) == 0 && gcry_cipher_final(handle) == 0;
}

int mesh_aes_encrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    const gcry_cipher_hd_t handle = aes_handle(aes);
    const bool is_done = aes_begin(handle, covered, covered_bytes, nonce) && gcry_cipher_encrypt(handle, text, text_bytes, NULL, 0) == 0 &&
                         gcry_cipher_gettag(handle, tag, MESH_AES_TAG_BYTES) == 0;

    return is_done ? 0 : MESH_ESYSTEM;
}

int mesh_aes_decrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    const gcry_cipher_hd_t handle = aes_handle(aes);

    if (!aes_begin(handle, covered, covered_bytes, nonce) || gcry_cipher_decrypt(handle, text, text_bytes, NULL, 0) != 0)
        return MESH_EAUTH;
    if (gcry_cipher_checktag(handle, tag, MESH_AES_TAG_BYTES) == 0)
        return 0;
    /* The keystream once more makes of it what came. */
    if (aes_begin(handle, covered, covered_bytes, nonce))
        gcry_cipher_encrypt(handle, text, text_bytes, NULL, 0);
    return MESH_EAUTH;
}
#else
bool mesh_aes_is_available(void)
{
    return false;
}

bool mesh_aes_is_fast(void)
{
    return false;
}

struct mesh_aes *mesh_aes_of(const uint8_t key[MESH_AES_KEY_BYTES])
{
    (void)key;
    return NULL;
}

void mesh_aes_free(struct mesh_aes *aes)
{
    (void)aes;
}

/* Not reached: no key is made ready. */
int mesh_aes_encrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    (void)aes, (void)text, (void)text_bytes, (void)tag, (void)covered, (void)covered_bytes, (void)nonce;
    return MESH_ESYSTEM;
}

int mesh_aes_decrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    (void)aes, (void)text, (void)text_bytes, (void)tag, (void)covered, (void)covered_bytes, (void)nonce;
    return MESH_EAUTH;
}
#endif
