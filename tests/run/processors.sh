#!/bin/bash
# Kernels on a processor that is not this one: Intel's, which reads weights in another order than AMD's, with AVX2 but without AVX-VNNI.
# Runs beside others.
. tests/run/lib.sh

if [ "$ARCH" != x86_64 ] || [ -n "$SAN" ] || ! command -v qemu-x86_64 >/dev/null; then
    skip "a Haswell computes the same bits" "needs qemu-user, on an x86-64 machine, and programs without sanitizers"
    finish
fi
haswell() { # program arguments...
    qemu-x86_64 -cpu Haswell "$@"
}

check "arith-digest runs here" "$BIN/arith-digest"
cp "$out" "$tmp/here"
check "arith-digest runs on a Haswell" haswell "$BIN/arith-digest"
check_same "a Haswell computes the same bits" "$tmp/here" "$out"
check_exit "a Haswell has AVX2, and no AVX-VNNI" 2 "give one of scalar, avx2" \
    haswell "$mesh_node" run -m node/models/stories-q8_0.gguf -p a -n 1 --kernel avxvnni
finish
