#!/bin/bash
# The worked cases of docs/DEBUGGING.md: each block that begins with "$ mesh-dissect" is the output of that command for the captures in
# docs/captures, which tests/tools/worked-captures made. After a change of the output run MESH_UPDATE=1 tests/run/debugging.sh, then review
# the text.
# Runs beside others.
. tests/run/lib.sh
[ -x "$BIN/mesh-dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
export TZ=UTC
PATH=$(cd "$BIN" && pwd):$PATH

document=docs/DEBUGGING.md
in_block='' command='' count=0
while IFS= read -r line; do
    if [ -n "$command" ]; then
        if [ "$line" != '```' ]; then
            printf '%s\n' "$line" >>"$tmp/expected"
            continue
        fi
        bash -c "$command" >"$tmp/found" 2>&1 </dev/null
        count=$((count + 1))
        if [ -n "${MESH_UPDATE:-}" ]; then cp "$tmp/found" "$tmp/expected"; fi
        check "the document shows what this prints: $command" diff "$tmp/expected" "$tmp/found"
        cat "$tmp/expected" >>"$tmp/document"
        command=''
    elif [ -n "$in_block" ] && [ "${line#\$ mesh-dissect}" != "$line" ]; then
        command=${line#\$ }
        : >"$tmp/expected"
    fi
    case $line in '```'*) in_block=$([ -n "$in_block" ] || echo yes) ;; esac
    printf '%s\n' "$line" >>"$tmp/document"
done <$document
if [ -n "${MESH_UPDATE:-}" ]; then cp "$tmp/document" $document; fi
check "there are at least four worked cases" test "$count" -ge 7
finish
