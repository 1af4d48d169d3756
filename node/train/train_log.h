/* The records of every step of a training run, as CSV for spreadsheets and plotting programs.
 *
 * A header line, then a line per step; a cell is empty where nothing was measured. Numbers have a point in every locale and read back as
 * the same floats; the same records are the same bytes on every machine. */
#ifndef NODE_TRAIN_LOG_H
#define NODE_TRAIN_LOG_H

#include <stddef.h>

#include "mesh/program/fail.h"
#include "train_state.h"

/* Replaces what is at path once it is complete. */
int train_log_write(const struct train_record *record, size_t count, const char *path, struct fail *fail);

#endif
