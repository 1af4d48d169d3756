/* A node's figures in Prometheus's text format. Names and help are those of the lists in mesh/telemetry.h and recording.h. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include <stdio.h>

#include "event_ring.h"
#include "node/epoch/recording.h"
#include "node_metrics.h"
#include "troubles.h"

/* recorded: NULL on a node that does not record. Errors of the stream are the caller's to check. */
void metrics_write(const struct node_metrics *metrics, const struct event_ring *events, const struct troubles *troubles,
                   const struct recording_figures *recorded, FILE *out);

#endif
