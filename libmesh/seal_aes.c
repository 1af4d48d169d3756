/* AES-256-GCM (NIST SP 800-38D) by libgcrypt: the only file that includes a header of it.
 *
 * libgcrypt and not libsodium, which has it for x86-64 alone and takes twice as long (docs/adr/0016). */
#include "seal_aes.h"

#ifdef MESH_HAVE_GCRYPT
#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static bool aes_is_tried, aes_is_started, aes_is_for_sealing, aes_is_in_hardware;

/* The struct stands for the library's handle. */
static gcry_cipher_hd_t aes_handle(struct mesh_aes *aes)
{
    return (gcry_cipher_hd_t)(void *)aes;
}

static struct mesh_aes *aes_open(const uint8_t key[MESH_AES_KEY_BYTES])
{
    gcry_cipher_hd_t handle;

    if (gcry_cipher_open(&handle, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_GCM, 0) != 0)
        return NULL;
    if (gcry_cipher_setkey(handle, key, MESH_AES_KEY_BYTES) != 0) {
        gcry_cipher_close(handle);
        return NULL;
    }
    return (struct mesh_aes *)(void *)handle;
}

/* Seal and open one datagram for a try (test case 14 of the authors of GCM). In FIPS mode the library seals only with nonces that it has
 * made itself, so this process must not announce that it has AES; it opens all the same. */
static void aes_try(bool *seals, bool *opens)
{
    static const uint8_t zeros[MESH_AES_KEY_BYTES];
    static const uint8_t sealed[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
                                     0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    const size_t text_bytes = sizeof sealed - MESH_AES_TAG_BYTES;
    uint8_t made[sizeof sealed] = {0};
    struct mesh_aes *aes = aes_open(zeros);

    *seals = aes != NULL && mesh_aes_encrypt(aes, made, text_bytes, made + text_bytes, zeros, 0, zeros) == 0 &&
             memcmp(made, sealed, sizeof sealed) == 0;
    memcpy(made, sealed, sizeof made);
    *opens = aes != NULL && mesh_aes_decrypt(aes, made, text_bytes, sealed + text_bytes, zeros, 0, zeros) == 0 &&
             memcmp(made, zeros, text_bytes) == 0;
    mesh_aes_free(aes);
}

/* The library's word counts, not the processor's: the library may have been told to leave instructions alone (/etc/gcrypt/hwf.deny, or by
 * the program that has started it), and then works with tables, whose timing leaks the key. */
static bool aes_has_instructions(void)
{
    char *list = gcry_get_config(0, "hwflist"); /* hwflist:NAME:NAME: */
    const bool has = list != NULL && ((strstr(list, ":intel-aesni:") != NULL && strstr(list, ":intel-pclmul:") != NULL) ||
                                      (strstr(list, ":arm-aes:") != NULL && strstr(list, ":arm-pmull:") != NULL));

    gcry_free(list);
    return has;
}

/* When it starts the library reads this file, and calls abort() if that fails for want of descriptors or memory. */
static bool aes_can_start(void)
{
    const int fd = open("/proc/sys/crypto/fips_enabled", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR;
    close(fd);
    return true;
}

/* Contexts are wiped when they are closed; locked memory, of which the library would take 32 kB, is not asked for. A program that has
 * started the library itself keeps its settings. */
static void aes_start(void)
{
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
        if (!aes_can_start())
            return; /* the next call tries again */
        aes_is_tried = true;
        if (gcry_check_version(GCRYPT_VERSION) == NULL)
            return;
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    aes_is_tried = true;
    aes_try(&aes_is_for_sealing, &aes_is_started);
    aes_is_in_hardware = aes_is_started && aes_has_instructions();
}

bool mesh_aes_is_available(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool is_started;

    pthread_mutex_lock(&lock);
    if (!aes_is_tried)
        aes_start();
    is_started = aes_is_started;
    pthread_mutex_unlock(&lock);
    return is_started;
}

bool mesh_aes_is_fast(void)
{
    return mesh_aes_is_available() && aes_is_for_sealing && aes_is_in_hardware;
}

struct mesh_aes *mesh_aes_of(const uint8_t key[MESH_AES_KEY_BYTES])
{
    return mesh_aes_is_available() ? aes_open(key) : NULL;
}

void mesh_aes_free(struct mesh_aes *aes)
{
    if (aes != NULL)
        gcry_cipher_close(aes_handle(aes));
}

/* The reset drops the rest of an earlier text that did not end with a tag; it would go into this one. */
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
    /* Applying the keystream once more restores what came; by decrypting, which FIPS mode does not refuse. */
    if (aes_begin(handle, covered, covered_bytes, nonce))
        gcry_cipher_decrypt(handle, text, text_bytes, NULL, 0);
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
