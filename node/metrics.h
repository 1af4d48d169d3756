/* A node's figures in Prometheus's text format. Names and help are those of the lists in mesh/telemetry.h and recording.h. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include <stdio.h>

#include "happened.h"
#include "measure.h"
#include "recording.h"
#include "troubles.h"

/* recorded: NULL on a node that does not record. Errors of the stream are the caller's to check. */
void metrics_write(const struct measure *measure, const struct happenings *happenings, const struct troubles *troubles,
                   const struct recording_figures *recorded, FILE *out);

#endif
