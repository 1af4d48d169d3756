/* A node's report on its work at the end of a run. */
#ifndef NODE_MEMBER_REPORT_H
#define NODE_MEMBER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "node/common/bytes.h"

struct member_report {
    uint64_t compute_ns;
    uint32_t threads;
    uint64_t datagrams_sent, bytes_sent;              /* all peers, whole run */
    uint64_t decode_datagrams, decode_bytes;          /* from the first to the last generated token */
    uint64_t decode_send_calls, decode_receive_calls; /* system calls, in the same time */
    uint64_t decode_wait_calls, decode_yields;        /* system calls that sleep or wake, and yields */
    uint64_t resent, naks, lost;
    uint64_t duplicates_sent;
    uint64_t kernel_drops; /* datagrams that found the socket's buffer full */
    bool is_there;
};

/* The form sent to rank 0. */
void member_report_write(const struct member_report *report, struct bytes *out);

/* -1: too short. */
int member_report_read(struct member_report *report, struct bytes *in);

#endif
