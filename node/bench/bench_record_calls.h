/* What each recorded call costs its caller and the recorder's thread. */
#ifndef NODE_BENCH_RECORD_CALLS_H
#define NODE_BENCH_RECORD_CALLS_H

#include "bench.h"

/* Print two rows, without and with payloads, measured with the endpoint calls of the trace at path, which has payloads. scratch: a file
 * that is written and removed. -1 with fail set. */
int bench_record_calls(struct bench *bench, const char *model, const char *path, const char *scratch, int runs, struct fail *fail);

#endif
