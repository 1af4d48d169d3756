/* See mesh/program/fail.h, which all programs share. */
#ifndef NODE_FAIL_H
#define NODE_FAIL_H

#include "mesh/program/fail.h"

#endif
