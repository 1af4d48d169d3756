#!/bin/bash
# The examples of libmesh compile as a stranger would compile them, from what `make install` has installed, and do what they say.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build is not installed"
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
command -v pkg-config >/dev/null || skip_all "pkg-config is not installed"

prefix=$tmp/root/opt/mesh
check "make install succeeds" env -u MAKEFLAGS -u MAKELEVEL -u BIN -u BUILD -u SAN make --no-print-directory DESTDIR="$tmp/root" \
    PREFIX=/opt/mesh BIN="$BIN" install
flags() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-prefix "$@" --cflags --libs libmesh; }
read -ra shared < <(flags)
read -ra static < <(flags --static)
warnings=(-O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
for source in "$prefix"/share/doc/libmesh/examples/*.c; do
    name=$(basename "$source" .c)
    check "$name compiles as C11 without a warning" \
        "${CC:-cc}" -std=c11 "${warnings[@]}" -Wstrict-prototypes -Wmissing-prototypes -o "$tmp/$name" "$source" "${shared[@]}"
    check "$name links with the static library" \
        "${CC:-cc}" -std=c11 -o "$tmp/$name-static" "$source" "${static[@]/#-lmesh/$prefix/lib/libmesh.a}"
    if command -v c++ >/dev/null; then
        check "$name compiles as C++17 without a warning" \
            c++ -std=c++17 "${warnings[@]}" -o "$tmp/$name-cpp" -x c++ "$source" -x none "${shared[@]}"
    fi
done
export LD_LIBRARY_PATH=$prefix/lib

for program in "$tmp"/exchange*; do
    check "${program##*/} exchanges its gathers" "$program"
    check_equal "datagrams are lost in ${program##*/}, and no gather is" "$(sed 's/^[1-9][0-9]*/some/' "$out")" \
        "some datagrams lost; 60 and 60 of 60 gathers intact"
done

# A node of its own, sealed where this build can seal.
"$mesh_node" synth -o "$tmp/m.gguf" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 64 --type f32 --seed 1
address=127.0.0.1:$(free_port)
key=() key_file=()
if "$mesh_node" keygen -o "$tmp/mesh.key" 2>/dev/null; then
    key=(--key "$tmp/mesh.key" --name harbour) key_file=("$tmp/mesh.key" harbour)
fi
background "$mesh_node" serve -m "$tmp/m.gguf" -t 1 --listen "$address" ${key[@]+"${key[@]}"} 2>"$tmp/node"
ask() { "$mesh_node" ask --to "$address" -p x -n 1 ${key[@]+"${key[@]}"}; }
check "a node answers" wait_until 20 ask
"$mesh_node" status --to "$address" ${key[@]+"${key[@]}"} >"$tmp/expected"
for program in "$tmp"/status*; do
    check "${program##*/} asks the node" "$program" "$address" ${key_file[@]+"${key_file[@]}"}
    # Times and rates differ from one moment to the next.
    check_equal "${program##*/} prints what mesh-node status prints" "$(tr -d '0-9. ' <"$out")" "$(tr -d '0-9. ' <"$tmp/expected")"
done
check_exit "a key file that is none is reported in words" 1 "m.gguf: others than its owner" "$tmp/status" "$address" "$tmp/m.gguf"
check_exit "status without an address says how to call it" 2 "usage: status HOST:PORT" "$tmp/status"
finish
