/* AES-256-GCM by libgcrypt: the only file that includes a header of it.
 *
 * libgcrypt and not libsodium, which has it for x86-64 alone and takes twice as long (docs/adr/0016). */
#include "seal_aes_library.h"

#ifdef MESH_HAVE_GCRYPT
#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <string.h>
#include <unistd.h>

#include "mesh/err.h"

/* The struct stands for the library's handle. */
static gcry_cipher_hd_t gcrypt_handle(struct mesh_aes *aes)
{
    return (gcry_cipher_hd_t)(void *)aes;
}

static struct mesh_aes *gcrypt_open(const uint8_t key[MESH_AES_KEY_BYTES])
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

static void gcrypt_close(struct mesh_aes *aes)
{
    gcry_cipher_close(gcrypt_handle(aes));
}

/* The library's word counts, not the processor's: the library may have been told to leave instructions alone (/etc/gcrypt/hwf.deny, or by
 * the program that has started it), and then works with tables, whose timing leaks the key. */
static bool gcrypt_has_instructions(void)
{
    char *list = gcry_get_config(0, "hwflist"); /* hwflist:NAME:NAME: */
    const bool has = list != NULL && ((strstr(list, ":intel-aesni:") != NULL && strstr(list, ":intel-pclmul:") != NULL) ||
                                      (strstr(list, ":arm-aes:") != NULL && strstr(list, ":arm-pmull:") != NULL));

    gcry_free(list);
    return has;
}

/* When it starts the library reads this file, and calls abort() if that fails for want of descriptors or memory. */
static bool gcrypt_can_start(void)
{
    const int fd = open("/proc/sys/crypto/fips_enabled", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR;
    close(fd);
    return true;
}

/* Contexts are wiped when they are closed; locked memory, of which the library would take 32 kB, is not asked for. A program that has
 * started the library itself keeps its settings. */
static int gcrypt_start(void)
{
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0)
        return 0;
    if (!gcrypt_can_start())
        return MESH_AGAIN;
    if (gcry_check_version(GCRYPT_VERSION) == NULL)
        return MESH_EABSENT;
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    return 0;
}

/* The reset drops the rest of an earlier text that did not end with a tag; it would go into this one. */
static bool gcrypt_begin(gcry_cipher_hd_t handle, const uint8_t *covered, size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    return gcry_cipher_reset(handle) == 0 && gcry_cipher_setiv(handle, nonce, MESH_AES_NONCE_BYTES) == 0 &&
           gcry_cipher_authenticate(handle, covered, covered_bytes) == 0 && gcry_cipher_final(handle) == 0;
}

static int gcrypt_encrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                          size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    const gcry_cipher_hd_t handle = gcrypt_handle(aes);
    const bool is_done = gcrypt_begin(handle, covered, covered_bytes, nonce) &&
                         gcry_cipher_encrypt(handle, text, text_bytes, NULL, 0) == 0 &&
                         gcry_cipher_gettag(handle, tag, MESH_AES_TAG_BYTES) == 0;

    return is_done ? 0 : MESH_ESYSTEM;
}

static int gcrypt_decrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES],
                          const uint8_t *covered, size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES])
{
    const gcry_cipher_hd_t handle = gcrypt_handle(aes);

    if (!gcrypt_begin(handle, covered, covered_bytes, nonce) || gcry_cipher_decrypt(handle, text, text_bytes, NULL, 0) != 0)
        return MESH_EAUTH;
    if (gcry_cipher_checktag(handle, tag, MESH_AES_TAG_BYTES) == 0)
        return 0;
    /* Applying the keystream once more restores what came; by decrypting, which FIPS mode does not refuse. */
    if (gcrypt_begin(handle, covered, covered_bytes, nonce))
        gcry_cipher_decrypt(handle, text, text_bytes, NULL, 0);
    return MESH_EAUTH;
}

static const struct mesh_aes_library gcrypt_library = {
    .name = "libgcrypt",
    .start = gcrypt_start,
    .has_instructions = gcrypt_has_instructions,
    .open = gcrypt_open,
    .close = gcrypt_close,
    .encrypt = gcrypt_encrypt,
    .decrypt = gcrypt_decrypt,
};
const struct mesh_aes_library *const mesh_aes_gcrypt = &gcrypt_library;
#else
const struct mesh_aes_library *const mesh_aes_gcrypt = NULL;
#endif
