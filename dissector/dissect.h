/* A run of mesh-dissect: frames in, text, objects, files of frames and reports out. */
#ifndef DISSECTOR_DISSECT_H
#define DISSECTOR_DISSECT_H

#include "settings.h"

int dissect(const struct settings *settings, struct fail *fail);

#endif
