/* A run of mesh-dissect: frames in, text, objects, files of frames and reports out. */
#ifndef DISSECTOR_DISSECT_H
#define DISSECTOR_DISSECT_H

#include "settings.h"

/* The exit code; where it is not EXIT_OK, fail says why. */
int dissect(const struct settings *settings, struct fail *fail);

#endif
