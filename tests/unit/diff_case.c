#include "diff_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct diff_case diff_case;

int diff_case_set_up(void **state)
{
    char reason[MESH_TRACE_REASON_BYTES];

    (void)state;
    snprintf(diff_case.folder, sizeof diff_case.folder, "/tmp/test_replay_diff.XXXXXX");
    assert_non_null(mkdtemp(diff_case.folder));
    for (unsigned side = 0; side < 2; side++) {
        snprintf(diff_case.paths[side], sizeof diff_case.paths[side], "%s/%c.db", diff_case.folder, 'a' + (int)side);
        assert_int_equal(mesh_trace_create(&diff_case.writers[side], diff_case.paths[side], reason), 0);
        assert_int_equal(mesh_trace_begin(diff_case.writers[side]), 0);
        assert_int_equal(mesh_trace_set_meta(diff_case.writers[side], "ids", "all"), 0);
        assert_int_equal(mesh_trace_set_meta(diff_case.writers[side], "payloads", "all"), 0);
    }
    diff_case.diff = (struct diff){.paths = {diff_case.paths[0], diff_case.paths[1]}};
    return 0;
}

int diff_case_tear_down(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        mesh_trace_close(diff_case.diff.traces[side]);
        unlink(diff_case.paths[side]);
    }
    return rmdir(diff_case.folder);
}

void diff_case_open(void)
{
    for (unsigned side = 0; side < 2; side++) {
        assert_int_equal(mesh_trace_commit(diff_case.writers[side]), 0);
        mesh_trace_close(diff_case.writers[side]);
        diff_case.diff.traces[side] = trace_open(diff_case.paths[side], &diff_case.failure);
        assert_non_null(diff_case.diff.traces[side]);
    }
}

void diff_case_add_token(unsigned side, uint64_t request, uint64_t position, uint64_t token, int64_t t_ns)
{
    const struct mesh_trace_token row = {.node = 1,
                                         .t_ns = t_ns,
                                         .request = request,
                                         .position = position,
                                         .step = MESH_TRACE_NULL,
                                         .token = token,
                                         .logits_hash = MESH_TRACE_NULL};

    assert_int_equal(mesh_trace_add_row_token(diff_case.writers[side], &row, NULL), 0);
}
