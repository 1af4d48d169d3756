/* See mesh/program/replace_file.h, which all programs share. */
#ifndef NODE_REPLACE_FILE_H
#define NODE_REPLACE_FILE_H

#include "mesh/program/replace_file.h"

#endif
