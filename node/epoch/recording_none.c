/* recording.h for a build without sqlite3, zstd or xxhash: nothing is recorded, and --record says why. */
#include "recording.h"

#ifndef MESH_HAVE_TRACE

int recording_open(struct recording **recording, const struct recording_options *options, const struct recording_node *node,
                   const struct mesh_key *key, bool follows, struct fail *fail)
{
    (void)recording, (void)node, (void)key, (void)follows;
    return fail_set(fail, EXIT_ENVIRONMENT, "--record %s: this program was built without sqlite3, zstd or xxhash: leave it out",
                    options->path);
}

int recording_close(struct recording *recording, struct fail *fail)
{
    (void)recording, (void)fail;
    return 0;
}

const struct mesh_tap *recording_endpoint_tap(struct recording *recording)
{
    (void)recording;
    return NULL;
}

const struct mesh_tap *recording_cluster_tap(struct recording *recording)
{
    (void)recording;
    return NULL;
}

const struct mesh_tap *recording_sessions_tap(struct recording *recording)
{
    (void)recording;
    return NULL;
}

void recording_meta(struct recording *recording, const char *key, const char *format, ...)
{
    (void)recording, (void)key, (void)format;
}

void recording_meta_hash(struct recording *recording, const char *key, const uint8_t hash[32])
{
    (void)recording, (void)key, (void)hash;
}

void recording_epoch(struct recording *recording, uint64_t now_ns, uint32_t number, const uint8_t id[16], uint16_t rank,
                     const struct mesh_cluster_member *member, const uint32_t *dealt, uint16_t count)
{
    (void)recording, (void)now_ns, (void)number, (void)id, (void)rank, (void)member, (void)dealt, (void)count;
}

void recording_request(struct recording *recording, uint64_t now_ns, const struct request *request)
{
    (void)recording, (void)now_ns, (void)request;
}

void recording_request_cancel(struct recording *recording, uint64_t now_ns, uint64_t request, const char *reason)
{
    (void)recording, (void)now_ns, (void)request, (void)reason;
}

void recording_request_end(struct recording *recording, uint64_t now_ns, uint64_t request, enum engine_done reason)
{
    (void)recording, (void)now_ns, (void)request, (void)reason;
}

void recording_token(struct recording *recording, uint64_t now_ns, const struct engine_token *token)
{
    (void)recording, (void)now_ns, (void)token;
}

void recording_event(struct recording *recording, const struct mesh_telemetry_event *event, const char *text)
{
    (void)recording, (void)event, (void)text;
}

void recording_report(struct recording *recording, uint64_t now_ns, uint64_t unix_ms, const uint8_t *piece, size_t bytes)
{
    (void)recording, (void)now_ns, (void)unix_ms, (void)piece, (void)bytes;
}

void recording_watch(struct recording *recording)
{
    (void)recording;
}

bool recording_is_failing(struct recording *recording, char cause[RECORDING_CAUSE_BYTES])
{
    (void)recording, (void)cause;
    return false;
}

void recording_help(struct recording *recording)
{
    (void)recording;
}

void recording_figures(struct recording *recording, struct recording_figures *figures)
{
    (void)recording;
    *figures = (struct recording_figures){0};
}

#endif
