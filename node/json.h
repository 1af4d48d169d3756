/* See mesh/program/json.h, which all programs share. */
#ifndef NODE_JSON_H
#define NODE_JSON_H

#include "mesh/program/json.h"

#endif
