/* What each call that is recorded costs whoever tells of it, and the recorder's thread. */
#ifndef NODE_BENCH_RECORD_CALLS_H
#define NODE_BENCH_RECORD_CALLS_H

#include "bench.h"

/* Two rows, without and with payloads, by the calls of the endpoints of the trace at path, which has payloads. scratch: a file that is
 * written and removed. -1 with fail set. */
int bench_record_calls(struct bench *bench, const char *model, const char *path, const char *scratch, int runs, struct fail *fail);

#endif
