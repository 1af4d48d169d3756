#!/bin/bash
# Compiler options that would change bits of results are refused.
# Runs beside others.
. tests/run/lib.sh

includes_canon() { # options
    "${CC:-cc}" -std=c17 -I. -x c -fsyntax-only "$@" - <<<'#include "node/common/canon.h"'
}

check "the arithmetic compiles" includes_canon -O2
options=(-ffast-math -Ofast -ffinite-math-only)
is_clang=$("${CC:-cc}" --version | grep -c clang) # which tells of no more of them, and has no other registers to add up in
if [ "$is_clang" -eq 0 ]; then options+=(-fno-signed-zeros -fsingle-precision-constant); fi
for option in "${options[@]}"; do
    check_exit "$option is refused" 1 "canonical arithmetic" includes_canon "$option"
done
if [ "$(uname -m)" = x86_64 ] && [ "$is_clang" -eq 0 ]; then
    check_exit "sums in registers of 80 bits are refused" 1 "canonical arithmetic" includes_canon -mfpmath=387
fi
finish
