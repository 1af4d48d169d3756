/* Display filters: expressions over the fields of a datagram, in tshark's syntax, e.g. tile.phase == 17 && peer.src == 2 && lost
 *
 *   expression   and, &&, or, ||, not, !, parentheses; && binds more tightly than ||
 *   test         FIELD (it is present; a flag: it is set), FIELD OP VALUE, FIELD in {VALUE, VALUE..VALUE}, FIELD contains VALUE;
 *                OP is == != < <= > >= or eq ne lt le gt ge; FIELD & NUMBER keeps some bits of a number
 *   value        a number (decimal or 0x), "text", an address with or without /PREFIX, bytes as 01:02:ff, a name such as TILE or opened,
 *                for times seconds or "2026-01-31 23:59:59"
 *
 * If a datagram has a field several times, one matching value is enough; != holds when none is equal. Comparing an absent field is false. A
 * filter is compiled to a program without loops of at most FILTER_OPS_MAX operations. One thread. */
#ifndef DISSECTOR_FILTER_H
#define DISSECTOR_FILTER_H

#include <stdio.h>

#include "analysis.h"
#include "mesh/program/fail.h"
#include "numbers.h"
#include "packet.h"

enum { FILTER_OPS_MAX = 256, FILTER_RANGES_MAX = 512, FILTER_POOL_BYTES = 4096, FILTER_FIELDS_MAX = 128, FILTER_DEPTH_MAX = 32 };

/* What the analysis finds out about a datagram after it was seen. */
enum filter_verdict { FILTER_LOST = 1, FILTER_SPURIOUS = 2 };

/* What a filter is applied to. All is borrowed. */
struct filter_subject {
    const struct packet *packet;           /* with bytes NULL: a frame that holds no datagram */
    const struct numbers_verdict *numbers; /* NULL: nothing is known */
    unsigned verdicts;                     /* bits of enum filter_verdict */
    uint64_t first_ns, previous_ns;        /* of the capture's first frame, and of the previous one */
    const struct analysis_loss *loss;      /* of filter_match_loss */
};

struct filter;

/* NULL with EXIT_USAGE and a message of three lines that points at the column, or EXIT_ENVIRONMENT. */
struct filter *filter_compile(const char *text, struct fail *fail);
void filter_free(struct filter *filter); /* NULL is fine */

/* The name of a field in the filter that is known only after the whole capture was read, or NULL. */
const char *filter_needs_verdicts(const struct filter *filter);

bool filter_match(const struct filter *filter, const struct filter_subject *subject);

/* The same for a lost datagram, in the capture or not. Fields not known of it are absent; dst is its receiver's rank. */
bool filter_match_loss(const struct filter *filter, const struct analysis_loss *loss);

/* One line per field: name, kind, meaning. */
void filter_list_fields(FILE *out);

#endif
