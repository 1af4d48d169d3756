/* See mesh/program/options.h, which all programs share. */
#ifndef NODE_OPTIONS_H
#define NODE_OPTIONS_H

#include "mesh/program/options.h"

#endif
