/* A node's figures in Prometheus's text format. Names and help are those of the list in mesh/telemetry.h. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include <stdio.h>

#include "happened.h"
#include "measure.h"

/* Errors of the stream are the caller's to check. */
void metrics_write(const struct measure *measure, const struct happenings *happenings, FILE *out);

#endif
