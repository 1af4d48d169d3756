#!/bin/bash
# Options of the compiler with which results would have other bits do not compile.
# Runs beside others.
. tests/run/lib.sh

includes_canon() { # options
    "${CC:-cc}" -std=c17 -I. -x c -fsyntax-only "$@" - <<<'#include "node/canon.h"'
}

check "the arithmetic compiles" includes_canon -O2
for option in -ffast-math -Ofast -ffinite-math-only -fno-signed-zeros; do
    check_exit "$option is refused" 1 "canonical arithmetic" includes_canon "$option"
done
if [ "$(uname -m)" = x86_64 ]; then
    check_exit "sums in registers of 80 bits are refused" 1 "canonical arithmetic" includes_canon -mfpmath=387
fi
finish
