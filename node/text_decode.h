/* See mesh/program/text_decode.h, which all programs share. */
#ifndef NODE_TEXT_DECODE_H
#define NODE_TEXT_DECODE_H

#include "mesh/program/text_decode.h"

#endif
