#!/bin/bash
# The documents agree with the tree: links lead somewhere, the table of files is complete, the man page knows the options.
# Runs beside others.
. tests/run/lib.sh

documents=(README.md CONTRIBUTING.md CHANGELOG.md docs/*.md docs/adr/*.md)

# Relative links, without their #fragment.
for document in "${documents[@]}"; do
    [ -e "$document" ] || continue
    grep -oE '\]\([^)]+\)' "$document" | sed -E 's/^\]\(//; s/\)$//; s/#.*//' | grep -vE '^(https?:|mailto:|$)' |
        while read -r link; do
            [ -e "$(dirname "$document")/$link" ] || echo "$document: $link"
        done
done >"$tmp/dead"
check_equal "every link in the documents leads somewhere" "$(cat "$tmp/dead")" ""

# Links to headings, by the names that GitHub gives these: small letters, hyphens for spaces, no other signs; -1 for the second of a name.
headings() { # DOCUMENT
    awk '/^```/ { inside = !inside } !inside && /^#+ / { sub(/^#+ /, ""); print tolower($0) }' "$1" |
        sed -E 's/\]\([^)]*\)//g; s/[^a-z0-9_ -]//g; s/ /-/g' | awk '{ print $0 (seen[$0] ? "-" seen[$0] : ""); seen[$0]++ }'
}
for document in "${documents[@]}"; do
    grep -oE '\]\([^)#: ]*#[^)]+\)' "$document" | sed -E 's/^\]\(//; s/\)$//' | sort -u | while IFS='#' read -r file heading; do
        [ -n "$file" ] && file=$(dirname "$document")/$file || file=$document
        headings "$file" | grep -qxF -e "$heading" || echo "$document: $file#$heading"
    done
done >"$tmp/dead"
check_equal "every link to a heading leads to one" "$(cat "$tmp/dead")" ""

# What is said of a command beside it is a comment of the shell, so that the line can be typed, or pasted, as it is.
awk '/^```/ { inside = !inside } inside && /^(make|sudo|bin\/|install|systemctl|mesh-)/ && /[^ ]  +[^ #]/' \
    README.md CONTRIBUTING.md docs/{OPERATIONS,TRAINING,TRACE,DEBUGGING,MONITOR}.md >"$tmp/remarks"
check_equal "remarks beside commands are comments of the shell" "$(cat "$tmp/remarks")" ""

tests/tools/file-list >"$tmp/files"
awk '/^<!-- files end -->/ { inside = 0 } inside { print } /^<!-- files begin/ { inside = 1 }' docs/ARCHITECTURE.md |
    sed '$d' >"$tmp/listed"
check "docs/ARCHITECTURE.md lists the files of the tree (if not: make docs)" diff -u "$tmp/listed" "$tmp/files"

# Decision records: numbered without gaps, each with the same headings.
number=1
for record in docs/adr/[0-9]*.md; do
    case $record in "docs/adr/$(printf '%04d' $number)-"*) ;; *) not_ok "decision records are numbered without gaps" "$record" ;; esac
    number=$((number + 1))
    for heading in '## Status' '## Context' '## Decision' '## Consequences'; do
        grep -qx "$heading" "$record" || echo "$record: $heading"
    done
done >"$tmp/form"
check_equal "every decision record has status, context, decision and consequences" "$(cat "$tmp/form")" ""

version=$(sed -n 's/.*MESH_VERSION "\(.*\)"/\1/p' libmesh/include/mesh/version.h)
check_equal "every man page has the version of the library" "$(grep -L "Diolkos Mesh $version" docs/man/*.[17])" ""
check "CHANGELOG.md knows the version of the library, or what is unreleased" grep -qE "^## \[(Unreleased|$version)\]" CHANGELOG.md

# Every long option that --help prints is in the man page.
named() { # PROGRAM, what its --help prints on stdin
    grep -oE -e '--[a-z][a-z0-9-]+' | sort -u >"$tmp/options"
    sed 's/\\-/-/g' "docs/man/$1.1" >"$tmp/page"
    while read -r option; do
        grep -q -e "$option\\b" "$tmp/page" || echo "$option"
    done <"$tmp/options" >"$tmp/unknown"
    check_equal "the man page names every option that $1 --help prints" "$(cat "$tmp/unknown")" ""
}

# And where a program has commands, in the section of the command. `ask` refers to `run` for what they have in common.
named_in_section() { # PROGRAM COMMAND...
    local program=$1 command
    for command in "${@:2}"; do
        sed 's/\\-/-/g' "docs/man/$program.1" |
            awk -v command="$command" '/^\.S[SH] / { inside = $2 == command || (command == "ask" && $2 == "run") } inside' >"$tmp/section"
        "$BIN/$program" "$command" --help </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | grep -vx -e --help | sort -u |
            while read -r option; do
                grep -q -e "$option\\b" "$tmp/section" || echo "$command: $option"
            done
    done >"$tmp/unknown"
    check_equal "the man page of $program names every option with its command" "$(cat "$tmp/unknown")" ""
}
for page in docs/man/*.[17]; do
    sed -n '/^\.SH SEE ALSO/,$p' "$page" | sed 's/\\-/-/g' >"$tmp/also"
    for other in docs/man/*.1; do
        [ "$page" = "$other" ] || grep -q "$(basename "$other" .1) (1)" "$tmp/also" || echo "$page: $(basename "$other")"
    done
done >"$tmp/unknown"
check_equal "every man page refers to those of the programs" "$(cat "$tmp/unknown")" ""

# Completions of bash for the last word of a command line.
completed() { # PROGRAM WORD...
    # shellcheck disable=SC2016 # another shell's words
    BIN=$BIN bash -c 'source "docs/completions/$1.bash"; COMP_WORDS=("$BIN/$1" "${@:2}") COMP_CWORD=$(($# - 1))
        "_${1//-/_}"; printf "%s\n" "${COMPREPLY[@]}"' _ "$@" | sort -u
}
for command_line in "mesh-node serve" "mesh-node bench" mesh-monitor mesh-dissect "mesh-replay verify"; do
    read -r program command <<<"$command_line"
    [ -x "$BIN/$program" ] || continue
    # shellcheck disable=SC2086 # no word where there is no command
    check_equal "bash completes every option that $command_line --help prints" "$(completed "$program" $command --)" \
        "$("$BIN/$program" $command --help </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u)"
done
if [ -x "$mesh_node" ]; then
    check_equal "bash completes every part of mesh-node bench" "$(completed mesh-node bench '')" \
        "$("$mesh_node" bench --help | sed -n 's/.*PART: //p' | tr '|' '\n' | sort)"
    check_equal "bash completes every command of mesh-node" "$(completed mesh-node '' | grep -v ^--)" \
        "$("$mesh_node" --help | sed -nE 's/^  ([a-z]+)  +[a-z].*/\1/p' | grep -v '^mesh' | sort)"
    for command in run serve ask plan; do
        "$mesh_node" $command --help | sed -nE 's/^ .* (--[a-z-]+) ([a-z0-9_]+\|[a-z0-9_|]+) .*/\1 \2/p' >"$tmp/choices"
        check "options of $command take words" [ -s "$tmp/choices" ]
        while read -r option choices; do
            check_equal "bash completes the words of $command $option" "$(completed mesh-node $command "$option" '')" \
                "$(tr '|' '\n' <<<"$choices" | sort)"
        done <"$tmp/choices"
    done
    check_equal "so it does after =" "$(completed mesh-node run --pipeline =) $(completed mesh-node run --pipeline = of)" "off
on off"
fi
if [ -x "$mesh_node" ]; then
    tensor_types | tr ' ' '\n' | sort >"$tmp/types"
    check "mesh-node says which types of tensors there are" [ "$(wc -l <"$tmp/types")" -gt 10 ]
    check_equal "bash completes every type of tensor" "$(completed mesh-node quantize --type '')" "$(cat "$tmp/types")"
    while read -r type; do
        for document in README.md docs/ARITHMETIC.md docs/man/mesh-node.1; do
            grep -qwi "$type" "$document" || echo "$document: $type"
        done
    done <"$tmp/types" >"$tmp/unknown"
    check_equal "the documents name every type of tensor" "$(cat "$tmp/unknown")" ""
fi
# Zsh and fish know the same. What zsh's completion system would be given for the last word of a command line is printed instead; without
# these shells the lists that their files have are compared.
for file in _mesh mesh.fish; do
    check_equal "$file has the long lists of bash" "$(sed -nE "s/ (types|kernels)[= ]'/\n\1='/gp" "docs/completions/$file" |
        grep -oE "^(types|kernels)='[^']*'")" "types='$(
        sed -n "s/.*types='\\(.*\\)'/\\1/p" docs/completions/mesh-node.bash)'
kernels='$(sed -n "s/.*--kernel).*-W '\\([^']*\\)'.*/\\1/p" docs/completions/mesh-node.bash)'"
done
cat >"$tmp/completed.zsh" <<'END'
_describe() { local array=${@[-1]}; print -l -- ${(P)array%%:*} }
_files() { print files }
compadd() { shift; print -l -- "$@" }
compset() { [[ $PREFIX == *=* ]] && PREFIX=${PREFIX#*=} }
words=("$@") CURRENT=$# PREFIX=${@[-1]}
complete() { source docs/completions/_mesh }
complete
END
completed_zsh() { zsh -f "$tmp/completed.zsh" "$BIN/$1" "${@:2}" | sort -u; }
completed_fish() {
    fish --no-config -c 'source docs/completions/mesh.fish; complete -C (string join " " -- $argv)' -- "$BIN/$1" "${@:2}" |
        cut -f 1 | sort -u
}
as_bash() { # PROGRAM WORD...
    check_equal "$shell completes $* as bash does" "$("completed_$shell" "$@")" "$(completed "$@")"
}
for shell in zsh fish; do
    if ! command -v $shell >/dev/null || [ ! -x "$mesh_node" ]; then
        skip "$shell completes as bash does" "there is no $shell"
        continue
    fi
    as_bash mesh-node ''
    as_bash mesh-node bench ''
    for command in run serve ask api status plan inspect synth stories train quantize bench keygen; do
        as_bash mesh-node "$command" --
    done
    as_bash mesh-node quantize --type ''
    as_bash mesh-node run --kernel ''
    as_bash mesh-node run --pipeline ''
    if [ -x "$BIN/mesh-monitor" ]; then as_bash mesh-monitor --; fi
    if [ -x "$BIN/mesh-dissect" ]; then as_bash mesh-dissect -- && as_bash mesh-dissect --export '' && as_bash mesh-dissect -Q ''; fi
    if [ -x "$BIN/mesh-replay" ]; then
        as_bash mesh-replay ''
        as_bash mesh-replay query x.db --named ''
        for command in info verify run query export diff; do as_bash mesh-replay "$command" --; done
    fi
done
if command -v zsh >/dev/null && [ -x "$mesh_node" ]; then
    check_equal "zsh does so after =" "$(completed_zsh mesh-node run --pipeline=o)" "$(completed mesh-node run --pipeline = o)"
fi
# Words that the sources declare, and that users read in documents.
sed -nE 's/^extern const struct kernel kernel_(.*);/\1/p' node/kernel/kernel_list.h | sort >"$tmp/kernels"
check "there are kernels" [ "$(wc -l <"$tmp/kernels")" -gt 3 ]
while read -r kernel; do
    grep -qx " *&kernel_$kernel," node/kernel/kernel.c || echo "node/kernel/kernel.c: $kernel"
    sed -n '/^\.BI .*kernel/,/^\.TP/p' docs/man/mesh-node.1 | grep -qw "$kernel" || echo "docs/man/mesh-node.1: $kernel"
done <"$tmp/kernels" >"$tmp/unknown"
check_equal "kernel.c chooses among all kernels, and the man page names them" "$(cat "$tmp/unknown")" ""
check_equal "bash completes every kernel" "$(completed mesh-node run --kernel '')" "$(cat "$tmp/kernels")"
words() { # FILE PREFIX: the words of an array by an enum, in their order
    grep -oE "\[$2[A-Z_]+\] = \"[a-z_]+\"" "$1" | sed 's/.*"\(.*\)"/\1/'
}
rows() { sed -n "$1"'s/^| \(.*\) | .*/\1/p' docs/OPERATIONS.md | grep -oE '`[a-z_]+`' | tr -d '`'; } # LINES: their first column
words node/telemetry/troubles.c TROUBLE_ >"$tmp/words"
check_equal "docs/OPERATIONS.md has a row for every kind of trouble" "$(rows '/^| kind | what is wrong/,/^$/')" "$(cat "$tmp/words")"
{
    words libmesh/seal/sealer.c MESH_SEAL_
    words libmesh/core/cluster_event.c MESH_DENY_ | sed 's/^/join_/'
} | sort >"$tmp/words"
check "there are reasons for refusing" [ "$(wc -l <"$tmp/words")" -gt 10 ]
check_equal "docs/OPERATIONS.md names every reason for which a datagram or node is refused" \
    "$(sed -n '/^## Who is turned away/,/^## /p' docs/OPERATIONS.md | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u |
        comm -13 - "$tmp/words")" ""
tr '\n' ' ' <docs/PROTOCOL.md | grep -oE 'counts drops by reason \([^)]*\)' | while read -r list; do
    grep -oE '`[a-z]+`' <<<"$list" | tr -d '`'
done >"$tmp/reasons"
check_equal "docs/PROTOCOL.md names every reason for which a datagram is dropped" "$(cat "$tmp/reasons")" \
    "$(words libmesh/seal/sealer.c MESH_SEAL_ && words libmesh/core/session.c MESH_SESSION_BY_)"
{
    grep -oE '(member|get_[a-z]+)\([a-z]+, "[a-z_]+"' node/api/api_request.c
    sed -n '/const names\[\] = {/,/};/p; /const singles\[\] = {/,/};/p' node/api/api_request.c
} | grep -oE '"[a-z_]+"' | tr -d '"' | sort -u >"$tmp/words"
check "a request over HTTP has members" [ "$(wc -l <"$tmp/words")" -gt 20 ]
while read -r word; do grep -qE "[\`\"]${word}[\`\"]" docs/API.md || echo "$word"; done <"$tmp/words" >"$tmp/unknown"
check_equal "docs/API.md names every member of a request that is understood or refused" "$(cat "$tmp/unknown")" ""
check_equal "docs/API.md has a row for every status of an error" "$(sed -nE 's/^\| ([0-9]{3}) \|.*/\1/p' docs/API.md | sort -u)" \
    "$(sed -nE 's/^ +API_[A-Z_]+ = ([0-9]+),?$/\1/p' node/api/api_error.h | sort -u)"
if [ -x "$BIN/mesh-replay" ]; then
    check_equal "bash completes every named query of mesh-replay" "$(completed mesh-replay query x.db --named '')" \
        "$("$BIN/mesh-replay" query --help | awk 'found && /^  / { print $1 } /^named queries:/ { found = 1 }' | sort)"
fi
if [ -x "$mesh_node" ]; then
    named mesh-node < <(for command in run serve ask api status synth stories train plan inspect quantize bench keygen; do
        "$mesh_node" $command --help </dev/null 2>/dev/null
    done)
    named_in_section mesh-node run serve ask api status synth stories train plan inspect quantize bench keygen
else
    skip "the man page names every option that mesh-node --help prints" "mesh-node is not built"
fi
if [ -x "$BIN/mesh-monitor" ]; then
    named mesh-monitor < <("$BIN/mesh-monitor" --help)
else
    skip "the man page names every option that mesh-monitor --help prints" "mesh-monitor is not built"
fi
if [ -x "$BIN/mesh-dissect" ]; then
    sed 's/\\-/-/g' docs/man/mesh-dissect.1 >"$tmp/page"
    "$BIN/mesh-dissect" --help | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u | while read -r option; do
        grep -q -e "$option\\b" "$tmp/page" || echo "$option"
    done >"$tmp/unknown"
    check_equal "the man page of mesh-dissect names every option that its --help prints" "$(cat "$tmp/unknown")" ""
fi
if [ -x "$BIN/mesh-dissect" ]; then
    {
        for capture in tests/dissect/lost.pcap docs/captures/*.pcap; do "$BIN/mesh-dissect" -r "$capture" --analyze --json; done
        "$BIN/mesh-dissect" -r docs/captures/host-host0.pcap -r docs/captures/host-host1.pcap --analyze --json
    } 2>/dev/null | grep -oE '"[a-z0-9_]+":' | tr -d '":' | sort -u | grep -vxE 'schema_version|event' >"$tmp/keys"
    "$BIN/mesh-dissect" --export wireshark | sed -nE 's/.*"mesh\.analysis\.([a-z_]+)".*/\1/p' | sort -u >>"$tmp/keys"
    check "an analysis has keys" [ "$(wc -l <"$tmp/keys")" -gt 50 ]
    while read -r key; do grep -qw -e "$key" "$tmp/page" || echo "$key"; done <"$tmp/keys" >"$tmp/unknown"
    check_equal "the man page of mesh-dissect names every key of --analyze --json, and every field of the analysis in Wireshark" \
        "$(cat "$tmp/unknown")" ""
fi
if [ -x "$BIN/mesh-replay" ]; then
    named mesh-replay < <(for command in $("$BIN/mesh-replay" --help | awk '/^  [a-z]+ +/ && $1 != "mesh-replay" { print $1 }'); do
        "$BIN/mesh-replay" "$command" --help
    done)
    named_in_section mesh-replay info verify run query export diff
fi
sed 's/\\-/-/g' docs/man/libmesh.7 >"$tmp/page"
for header in libmesh/include/mesh/*.h; do
    grep -q "<mesh/${header##*/}>" "$tmp/page" || echo "${header##*/}"
done >"$tmp/unknown"
check_equal "the manual page of libmesh names every public header" "$(cat "$tmp/unknown")" ""
grep -oE '\bmesh_[a-z0-9_]+|\bMESH_[A-Z0-9_]+' "$tmp/page" | sort -u | while read -r name; do
    grep -qw "$name" libmesh/include/mesh/*.h || echo "$name"
done >"$tmp/unknown"
check_equal "public headers declare every name in the manual page of libmesh" "$(cat "$tmp/unknown")" ""
grep -oE '^\.(IR|I) "?(Questions|Records|Bulk transfers|Telemetry)' "$tmp/page" | sed -E 's/^\.[IR]+ "?//' |
    sort -u | while read -r name; do
    grep -qx "### $name" docs/PROTOCOL.md || echo "$name"
done >"$tmp/unknown"
check_equal "docs/PROTOCOL.md has the sections that the manual page of libmesh names" "$(cat "$tmp/unknown")" ""
if command -v groff >/dev/null; then
    for page in docs/man/*.[17]; do
        run groff -t -man -Tutf8 -ww -z "$page"
        check_equal "groff has no complaint about $page" "$(cat "$err")" ""
    done
fi
finish
