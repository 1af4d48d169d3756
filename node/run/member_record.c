/* What a member records of its request, besides the calls of its endpoint. */
#include "member_state.h"

void member_record(struct member *m)
{
    const uint32_t count = atomic_load_explicit(&m->token_count, memory_order_acquire);

    for (; m->token_recorded < count; m->token_recorded++) {
        const struct member_token *t = &m->token[m->token_recorded];
        const struct engine_token token = {.request = REQUEST_ID, .index = m->token_recorded, .id = t->id, .digest = t->digest};

        recording_token(m->config.recording, t->when_ns, &token);
    }
    member_telemetry(m, false);
    recording_watch(m->config.recording);
}

void member_record_end(struct member *m)
{
    member_record(m);
    member_telemetry(m, true);
    if (atomic_load(&m->is_done))
        recording_request_end(m->config.recording, m->outcome.done_ns, REQUEST_ID, m->outcome.reason);
}
