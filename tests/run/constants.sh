#!/bin/bash
# The table of constants in docs/PROTOCOL.md has the values of the sources, and every time of the protocol's core.
# Runs beside others.
. tests/run/lib.sh
command -v "${CC:=cc}" >/dev/null || skip_all "there is no compiler"

# NAME FILE VALUE [UNIT] of each row.
sed -n '/^## Constants/,/^## Glossary/s/^| `\([A-Z0-9_]*\)` | `\([a-z0-9_.]*\)` | \([^|]*\) |.*/\1 \2 \3/p' docs/PROTOCOL.md >"$tmp/rows"
check "docs/PROTOCOL.md has a table of constants" [ "$(wc -l <"$tmp/rows")" -gt 100 ]

# A value in ns, or as it stands.
awk '{
    scale["s"] = 1e9; scale["ms"] = 1e6; scale["µs"] = 1e3; scale["ns"] = 1
    printf "%s %s %.0f\n", $1, $2, $3 * ($4 in scale ? scale[$4] : 1)
}' "$tmp/rows" >"$tmp/values"

# One translation unit per file: it includes the file and asserts the values.
cut -d' ' -f2 "$tmp/values" | sort -u | while read -r file; do
    for path in libmesh/*/"$file" "libmesh/include/mesh/$file" node/*/"$file"; do
        [ -e "$path" ] && break
    done
    {
        echo "#include \"$path\""
        awk -v file="$file" '$2 == file { printf "_Static_assert(%s == %s, \"%s of %s\");\n", $1, $3, $1, file }' "$tmp/values"
    } >"$tmp/unit.c"
    "$CC" -std=c17 -D_GNU_SOURCE -I. -Ilibmesh/include -fsyntax-only "$tmp/unit.c" 2>&1 | grep -E 'error' | head -20
done >"$tmp/wrong"
check_equal "each constant of the table has that value in its file" "$(cat "$tmp/wrong")" ""

# Units, and parts of the core that no peer observes.
grep -oHE '(#define +[A-Z_]+_NS(_[A-Z]+)?\b|\b[A-Z_]+_NS(_[A-Z]+)? =)' libmesh/*/*.[ch] |
    sed -E 's|^libmesh/[a-z]*/([^:]*):(#define +)?([A-Z_]*).*|\3 \1|' |
    grep -vE '^(SECOND_NS|CLUSTER_M?S) | (client|lab|recorder|rerun|sim|tap|telemetry|trace|udp)[a-z_]*\.[ch]$' | sort -u >"$tmp/times"
cut -d' ' -f1,2 "$tmp/rows" | sort -u >"$tmp/known"
check_equal "every time of the core is in the table" "$(comm -23 "$tmp/times" "$tmp/known")" ""
finish
