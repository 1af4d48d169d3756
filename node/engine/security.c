#include "security.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const security_words[] = {[MESH_SECURITY_NONE] = "none", [MESH_SECURITY_AUTH] = "auth", [MESH_SECURITY_SEAL] = "seal", NULL};

const char *const security_cipher_words[] = {[SECURITY_CIPHER_AUTO] = "auto", [SECURITY_CIPHER_CHACHA20] = "chacha20", NULL};

int security_check_key(bool has_security, int security, const char *key_path, struct fail *fail)
{
    if (has_security && security == MESH_SECURITY_NONE && key_path != NULL)
        return fail_set(fail, EXIT_USAGE, "--security none and --key %.200s: without security a key is not used: leave one of them out",
                        key_path);
    return 0;
}

const char *security_cipher_name(const struct mesh_sealer *sealer)
{
    return sealer->security == MESH_SECURITY_NONE ? "none" : mesh_sealer_uses_aes(sealer) ? "aes-256-gcm" : "chacha20-poly1305";
}

const char *security_means(char text[SECURITY_MEANS_BYTES])
{
    const char *library = mesh_aes_library();

    if (!mesh_seal_is_available())
        snprintf(text, SECURITY_MEANS_BYTES, "none (built without libsodium)");
    else if (mesh_aes_is_fast())
        snprintf(text, SECURITY_MEANS_BYTES, "AES-256-GCM by %s", library);
    else if (library != NULL)
        snprintf(text, SECURITY_MEANS_BYTES, "ChaCha20-Poly1305 (%s has no instructions for AES here, or is in FIPS mode)", library);
    else
        snprintf(text, SECURITY_MEANS_BYTES, "ChaCha20-Poly1305 (no library for AES)");
    return text;
}

int security_draw(struct security *security, struct fail *fail)
{
    if (mesh_random(&security->key, sizeof security->key) != MESH_OK ||
        mesh_random(security->epoch_id, sizeof security->epoch_id) != MESH_OK ||
        mesh_random(security->incarnation, sizeof security->incarnation) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none: %s: no key can be made without", strerror(errno));
    return 0;
}

int security_start(struct security *security, enum mesh_security mode, uint32_t epoch, uint16_t rank, uint16_t rank_count,
                   struct fail *fail)
{
    const struct mesh_sealer_config config = {
        .security = mode,
        .key = &security->key,
        .cluster = "", /* the key belongs to this run alone */
        .epoch = epoch,
        .epoch_id = security->epoch_id,
        .incarnation = (const uint8_t(*)[MESH_INCARNATION_BYTES])security->incarnation,
        .rank = rank,
        .rank_count = rank_count,
        .has_no_aes = security->has_no_aes,
    };
    int err = mesh_sealer_init(&security->sealer, &config);

    mesh_wipe(&security->key, sizeof security->key);
    if (err != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "--security %s: keys cannot be made: %s: give --security none", security_words[mode],
                        mesh_strerror(err));
    return 0;
}

int security_log(const struct security *security, const char *path, struct fail *fail)
{
    char reason[200];
    int err = path == NULL ? MESH_OK : mesh_key_log_append(path, &security->sealer, reason, sizeof reason);

    if (err != MESH_OK)
        return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "%s: %s", path, reason);
    return 0;
}

void security_release(struct security *security)
{
    mesh_sealer_release(&security->sealer);
    mesh_wipe(&security->key, sizeof security->key);
}
