#!/bin/bash
# The command `mesh-node stories`: where the text goes, what it depends on, and what is refused.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

check "stories are written" "$mesh_node" stories -o "$tmp/a.txt" --count 50 --seed 5
check_equal "stories -o prints nothing" "$(cat "$out" "$err")" ""
check "the same stories are written again" "$mesh_node" stories -o "$tmp/b.txt" --count 50 --seed 5
check_same "they are the same bytes" "$tmp/a.txt" "$tmp/b.txt"
check "stories go to stdout for -" "$mesh_node" stories -o - --count 50 --seed 5
check_same "stories on stdout are the same bytes" "$out" "$tmp/a.txt"
check "fewer stories are written" "$mesh_node" stories -o "$tmp/few.txt" --count 20 --seed 5
check_equal "more stories begin with the same ones" \
    "$(head -c "$(wc -c <"$tmp/few.txt")" "$tmp/a.txt" | cmp - "$tmp/few.txt" && echo yes)" yes
check_equal "stories have two empty lines between them" \
    "$(awk 'NF == 0 { empty++; next } { if (empty == 2) stories++; empty = 0 } END { print stories + 1 }' "$tmp/a.txt")" 50
check_equal "the text is printable ASCII and ends with a newline" \
    "$(LC_ALL=C tr -d '\n -~' <"$tmp/a.txt" | wc -c)/$(tail -c 1 "$tmp/a.txt" | wc -l)" 0/1
check "another seed is taken" "$mesh_node" stories -o "$tmp/b.txt" --count 50 --seed 6
check_equal "another seed gives other stories" "$(cmp -s "$tmp/a.txt" "$tmp/b.txt" && echo same)" ""

check_exit "no file is refused" 2 "-o FILE" "$mesh_node" stories
check_exit "no stories are refused" 2 "from 1 to" "$mesh_node" stories -o - --count 0
check_exit "a count that is no number is refused" 2 "not a whole number" "$mesh_node" stories -o - --count many
check_exit "a word too many is refused" 2 "extra" "$mesh_node" stories -o - extra
check_exit "a folder that is not there is named" 4 "$tmp/none/x.txt" "$mesh_node" stories -o "$tmp/none/x.txt" --count 1
check_exit "a folder in place of a file is named" 4 "$tmp" "$mesh_node" stories -o "$tmp" --count 1
check_exit "a full disk is reported" 4 "/dev/full: writing failed: No space left" "$mesh_node" stories -o /dev/full --count 1
timeout -k 5 60 "$mesh_node" stories -o - --count 2000 >/dev/full 2>"$err"
check_equal "a full stdout is an error" "$? $(grep -c '^mesh-node: stdout: .*No space left' "$err")" "4 1"
cp "$tmp/a.txt" "$tmp/old.txt"
# A limit of 64 KiB on the size of files stands for a disk that fills up.
check_exit "a file that cannot be finished is reported" 4 "writing failed" \
    bash -c 'trap "" XFSZ; ulimit -f 64; exec "$0" stories -o "$1" --count 2000' "$mesh_node" "$tmp/old.txt"
check_same "a failed write leaves the existing file" "$tmp/old.txt" "$tmp/a.txt"
check_equal "nothing is left behind" "$(cd "$tmp" && echo old.txt*)" old.txt
finish
