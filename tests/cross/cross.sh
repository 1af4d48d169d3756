#!/bin/bash
# The same bits on aarch64 and riscv64 as here: programs of Debian's cross compilers under qemu-user, compared with cmp.
#
# `make test-cross` runs it; CROSS_SMOKE=1 is the short form (one tensor type, few tokens) that CI uses. With --build it only builds.
. tests/run/lib.sh

archs=(aarch64 riscv64)
types=("q8_0 --arch qwen2" "f32 --arch qwen3" q8_0 q4_0 q4_k q6_k f32)
tokens=8
if [ -n "${CROSS_SMOKE:-}" ]; then
    types=(q8_0)
    tokens=4
fi

unset MAKEFLAGS MAKELEVEL MFLAGS BUILD # each architecture builds in its own folder
# Traces need libraries of that architecture: Debian's, unpacked beside the build, where they stay. riscv64 is not in Debian 12.
libraries_for() { # arch
    [ "$1" != aarch64 ] || tests/tools/cross-libs arm64 "build/libraries-$1" 2>"$tmp/libraries"
}
build_for() { # arch: programs into build/ARCH/bin
    local libraries=$PWD/build/libraries-$1 options=()
    if [ -e "$libraries/complete" ]; then
        export PKG_CONFIG_LIBDIR=$libraries/usr/lib/$1-linux-gnu/pkgconfig PKG_CONFIG_SYSROOT_DIR=$libraries
        options=(PKG_CONFIG=pkg-config CPPFLAGS="-isystem $libraries/usr/include")
    fi
    make --no-print-directory -j"$(nproc)" CC="$1-linux-gnu-gcc" AR="$1-linux-gnu-ar" LDFLAGS=-static BIN="build/$1/bin" \
        ${options[@]+"${options[@]}"} programs
    unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
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
    libraries_for "$arch" || echo "# $arch: no traces: $(cat "$tmp/libraries")"
    check "everything builds for $arch" build_for "$arch"
    [ "$code" -ne 0 ] || usable+=("$arch")
done
[ "${1:-}" != --build ] || finish

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
    model=$tmp/${type// /}.gguf
    # shellcheck disable=SC2086 # a type and options
    "$mesh_node" synth -o "$model" --dim 256 --hidden 512 --layers 2 --heads 4 --kv-heads 2 --vocab 600 --ctx 64 --seed 3 --type $type 2>/dev/null
    check "a $type model generates here" "$mesh_node" run -m "$model" "${run_options[@]}"
    cp "$out" "$tmp/$type.here"
    for arch in ${usable[@]+"${usable[@]}"}; do
        # shellcheck disable=SC2086
        under_qemu "$arch" mesh-node synth -o "$tmp/there.gguf" --dim 256 --hidden 512 --layers 2 --heads 4 --kv-heads 2 --vocab 600 \
            --ctx 64 --seed 3 --type $type 2>/dev/null
        check_same "synth on $arch writes the same $type file" "$tmp/there.gguf" "$model"
        check "a $type model generates on $arch" under_qemu "$arch" mesh-node run -m "$model" "${run_options[@]}"
        check_same "a $type model gives the same tokens and logits on $arch" "$out" "$tmp/$type.here"
    done
done

# ---- one mesh of two architectures ----

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

# ---- recordings: protocol and arithmetic recorded on one architecture are the same on the other ----

model=node/models/stories-q8_0.gguf
record=(-m "$model" -p "Once upon" -n 4 --ignore-eos --temp 0.7 --seed 2 --digest --local 2 -t 1)
verifies() { # NAME TRACE PROGRAM...: with both of its traces, computing
    local name=$1 trace=$2
    shift 2
    check "$name" timeout 120 "$@" verify "$trace.db" "$trace.1.db" -m "$model"
    check_contains "$name, with every tile and token" "$out" "computed: 1 the same, 0 different, 0 skipped; 0 recorded tokens were not compared"
}
for arch in ${usable[@]+"${usable[@]}"}; do
    if [ ! -x "build/$arch/bin/mesh-replay" ] || [ ! -x "$BIN/mesh-replay" ]; then
        skip "what $arch has recorded is the same here" "mesh-replay is not built for both"
        continue
    fi
    check "two nodes record on $arch" timeout 120 qemu-"$arch" "build/$arch/bin/mesh-node" run "${record[@]}" --record "$tmp/$arch.db"
    verifies "what $arch has recorded is the same here" "$tmp/$arch" "$BIN/mesh-replay"
    [ -e "$tmp/here.db" ] || check "two nodes record here" "$mesh_node" run "${record[@]}" --record "$tmp/here.db"
    verifies "what is recorded here is the same on $arch" "$tmp/here" qemu-"$arch" "build/$arch/bin/mesh-replay"
done
finish
