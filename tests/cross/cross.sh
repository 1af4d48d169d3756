#!/bin/bash
# The same bits on aarch64 and riscv64 as here: programs of Debian's cross compilers under qemu-user, compared with cmp.
#
# `make test-cross` runs it; CROSS_SMOKE=1 is the short form (one tensor type, few tokens) that CI uses.
. tests/run/lib.sh

archs=(aarch64 riscv64)
types=(q8_0 q4_0 q4_k q6_k f32)
tokens=8
if [ -n "${CROSS_SMOKE:-}" ]; then
    types=(q8_0)
    tokens=4
fi

unset MAKEFLAGS MAKELEVEL MFLAGS BUILD # each architecture builds in its own folder
build_for() { # arch: programs into build/ARCH/bin
    make --no-print-directory -j"$(nproc)" CC="$1-linux-gnu-gcc" AR="$1-linux-gnu-ar" LDFLAGS=-static BIN="build/$1/bin" programs
}
under_qemu() { # arch program arguments...
    local arch=$1 program=$2
    shift 2
    "qemu-$arch" "build/$arch/bin/$program" "$@"
}

usable=()
for arch in "${archs[@]}"; do
    [ "$arch" != "$(uname -m)" ] || continue
    if ! command -v "$arch-linux-gnu-gcc" >/dev/null || ! command -v "qemu-$arch" >/dev/null; then
        skip "$arch computes the same bits" "$arch-linux-gnu-gcc or qemu-$arch is not installed"
        continue
    fi
    check "everything builds for $arch" build_for "$arch"
    [ "$code" -ne 0 ] || usable+=("$arch")
done

# ---- arithmetic: every kernel and every function of canonical arithmetic over many inputs ----

if [ -x "$BIN/arith-digest" ]; then
    pids=()
    for arch in ${usable[@]+"${usable[@]}"}; do # side by side: it takes a while under qemu
        background under_qemu "$arch" arith-digest >"$tmp/arithmetic.$arch" 2>&1
        pids+=("$background_pid")
    done
    check "arith-digest runs here" "$BIN/arith-digest"
    cp "$out" "$tmp/arithmetic"
    for arch in ${usable[@]+"${usable[@]}"}; do
        wait "${pids[0]}"
        pids=("${pids[@]:1}")
        check_same "arithmetic on $arch gives the bits it gives here" "$tmp/arithmetic.$arch" "$tmp/arithmetic"
    done
fi

# ---- a whole model ----

generates=
if [ -x "$mesh_node" ] && "$mesh_node" synth --help >/dev/null 2>&1 && "$mesh_node" run --help >/dev/null 2>&1; then generates=yes; fi
run_options=(-p abc -n "$tokens" --temp 0.9 --seed 7 --ignore-eos --digest)

for type in "${types[@]}"; do
    if [ -z "$generates" ]; then
        skip "a $type model gives the same tokens and logits everywhere" "mesh-node has no synth or run yet"
        continue
    fi
    model=$tmp/$type.gguf
    "$mesh_node" synth -o "$model" --dim 256 --hidden 512 --layers 2 --heads 4 --kv-heads 2 --vocab 600 --ctx 64 --type "$type" --seed 3 2>/dev/null
    check "a $type model generates here" "$mesh_node" run -m "$model" "${run_options[@]}"
    cp "$out" "$tmp/$type.here"
    for arch in ${usable[@]+"${usable[@]}"}; do
        under_qemu "$arch" mesh-node synth -o "$tmp/there.gguf" --dim 256 --hidden 512 --layers 2 --heads 4 --kv-heads 2 --vocab 600 \
            --ctx 64 --type "$type" --seed 3 2>/dev/null
        check_same "synth on $arch writes the same $type file" "$tmp/there.gguf" "$model"
        check "a $type model generates on $arch" under_qemu "$arch" mesh-node run -m "$model" "${run_options[@]}"
        check_same "a $type model gives the same tokens and logits on $arch" "$out" "$tmp/$type.here"
    done
done

# ---- one mesh of two kinds of machine ----

mixed_mesh() { # arch
    local peers
    peers=127.0.0.1:$(free_port),127.0.0.1:$(free_port)
    background under_qemu "$1" mesh-node run -m "$model" -p abc -n "$tokens" --temp 0 --digest --rank 1 --peers "$peers" \
        >"$tmp/mixed.1" 2>"$tmp/mixed.1.err"
    local other=$background_pid
    check "a mesh of this machine and $1 generates" timeout 120 \
        "$mesh_node" run -m "$model" -p abc -n "$tokens" --temp 0 --digest --rank 0 --peers "$peers"
    check_same "a mesh of this machine and $1 gives the digest of one node" "$out" "$tmp/greedy"
    wait_until 20 not_running "$other" || not_ok "the $1 node ends with the others" "$(tail -5 "$tmp/mixed.1.err")"
}
not_running() { ! kill -0 "$1" 2>/dev/null; }

if [ -n "$generates" ] && [ ${#usable[@]} -gt 0 ]; then
    if "$mesh_node" run --help 2>&1 | grep -q -e --peers; then
        "$mesh_node" run -m "$model" -p abc -n "$tokens" --temp 0 --digest >"$tmp/greedy" 2>/dev/null
        for arch in "${usable[@]}"; do mixed_mesh "$arch"; done
    else
        skip "a mesh of two kinds of machine gives the digest of one node" "mesh-node has no --peers yet"
    fi
fi
finish
