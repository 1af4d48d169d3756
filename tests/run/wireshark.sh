#!/bin/bash
# tshark with the exported plugin and mesh-dissect --json agree on every field of every datagram, in kept captures and in real runs.
. tests/run/lib.sh
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
command -v tshark >/dev/null || skip_all "tshark is not installed"
export HOME=$tmp # no plugins or preferences of this user

"$mesh_dissect" --export wireshark >"$tmp/mesh.lua"
# Names of single bits begin with the name of their field; JSON has only the field.
"$mesh_dissect" --export fields | awk '{ field = $0; sub(/\.[^.]*$/, "", field) } field in all { print; next } { all[$0] }' >"$tmp/bits"
# Of the analysis, "missing" is known to the plugin alone, and JSON has a resend in the flags.
sed -nE 's/.*"(mesh\.analysis\.[a-z_]+)".*/\1/p' "$tmp/mesh.lua" | grep -vE '\.(missing|resend)$' >"$tmp/analysis"
{ "$mesh_dissect" --export fields | grep -vxFf "$tmp/bits" && cat "$tmp/analysis"; } >"$tmp/fields"

# Both print lines "FRAME FIELD VALUE" for the fields present; several values of a field are separated by commas.
by_tshark() { # CAPTURE
    local options=() field
    while read -r field; do options+=(-e "$field"); done <"$tmp/fields"
    tshark -2 -o udp.try_heuristic_first:TRUE -X "lua_script:$tmp/mesh.lua" -r "$1" -Y mesh.magic -T fields -E separator=/t \
        -E occurrence=a -E aggregator=, -e frame.number "${options[@]}" 2>"$tmp/tshark" |
        awk -F '\t' 'NR == FNR { name[FNR + 1] = $1; next }
            { for (i = 2; i <= NF; i++) if ($i != "") { sub(/^True$/, "1", $i); print $1, name[i], $i } }' "$tmp/fields" -
}
by_dissect() { # CAPTURE
    "$mesh_dissect" -r "$1" --json -Y 'lost || !lost' | awk '
        NR == FNR { order[++count] = $1; next }
        # the names of the open objects: "", header, tile, ranges, ...
        {
            delete value; depth = 0; path[0] = ""; frame = ""; key = ""
            for (text = $0; match(text, /"[^"]*"|[][{},:]|[^][{},:"]+/); text = substr(text, RSTART + RLENGTH)) {
                token = substr(text, RSTART, RLENGTH)
                if (token == "{" || token == "[") { path[++depth] = key == "" ? path[depth - 1] : key; key = "" }
                else if (token == "}" || token == "]") { depth--; key = "" }
                else if (token == ":") is_value = 1
                else if (token == ",") { is_value = 0; key = "" }
                else if (!is_value) { gsub(/"/, "", token); key = token }
                else {
                    gsub(/"/, "", token); sub(/^true$/, "1", token)
                    place = path[depth]; sub(/s$/, "", place)
                    if (depth == 1) { if (key == "frame") frame = token }
                    else {
                        if (path[depth] == "header") name = "mesh." key
                        else if (path[depth] == "ranges" || path[depth] == "members") name = "mesh." place "." key
                        else name = "mesh." path[depth] "." key
                        if (name in value) value[name] = value[name] "," token
                        else value[name] = token
                    }
                    key = ""
                }
                if (token == "{" || token == "[") is_value = 0
            }
            for (i = 1; i <= count; i++) if (order[i] in value) print frame, order[i], value[order[i]]
        }' "$tmp/fields" - | awk '
        # of several datagrams in a frame, the values of all
        NR == FNR { order[$1] = FNR; names = FNR; name[FNR] = $1; next }
        function flush(i) { for (i = 1; i <= names; i++) if (i in all) print frame, name[i], all[i]; delete all }
        $1 != frame { flush(); frame = $1 }
        { i = order[$2]; if (i in all) all[i] = all[i] "," $3; else all[i] = $3 }
        END { flush() }' "$tmp/fields" -
}
agree() { # SENTENCE CAPTURE LEAST
    by_tshark "$2" >"$tmp/a"
    by_dissect "$2" >"$tmp/b"
    if [ "$(wc -l <"$tmp/a")" -lt "$3" ]; then
        not_ok "$1" "only $(wc -l <"$tmp/a") fields by tshark, $(wc -l <"$tmp/b") by mesh-dissect" "$(head -5 "$tmp/tshark")"
    else
        check "$1: $(wc -l <"$tmp/a") fields" diff "$tmp/a" "$tmp/b"
    fi
}
check_equal "tshark has no complaint about the plugin" \
    "$(tshark -X "lua_script:$tmp/mesh.lua" -r tests/dissect/messages.pcap 2>&1 >/dev/null | grep -v '^Running as user')" ""
agree "they agree on every message" tests/dissect/messages.pcap 500
agree "they agree on numbers" tests/dissect/numbers.pcap 80
agree "they agree on what was lost" tests/dissect/lost.pcap 80
agree "and what the receiver's host dropped" docs/captures/host-host0.pcap 5000
check_equal "the plugin marks five datagrams as lost" "$(grep -c 'mesh.analysis.lost 1' "$tmp/a")" "5"
LC_ALL=C sed 's/\x1c\xf3\x1c\xf3/\x21\x98\x21\x98/g' tests/dissect/lost.pcap >"$tmp/8600.pcap"
agree "they agree on ports that Wireshark knows of another protocol, with heuristics first" "$tmp/8600.pcap" 80
agree "they agree on fragments, tags, and several datagrams in a frame" tests/dissect/layers.pcap 80

# Where no tree is shown, the plugin makes only the fields that a filter names.
capture=docs/captures/port-host1.pcap
by_tshark $capture >"$tmp/all"
for field in mesh.type mesh.tile.phase mesh.status.lost mesh.nak.step mesh.range.block_first mesh.member.port mesh.analysis.gap; do
    tshark -X "lua_script:$tmp/mesh.lua" -r $capture -Y "$field" -T fields -e frame.number 2>/dev/null |
        sed "s/^/$field /" >>"$tmp/filtered"
    awk -v field=$field '$2 == field { print field, $1 }' "$tmp/all" >>"$tmp/present"
done
check "filters find the fields that the tree shows: $(wc -l <"$tmp/present")" \
    bash -c 'test -s "$1" && diff "$1" "$2"' _ "$tmp/present" "$tmp/filtered"
check_equal "the hierarchy of protocols counts every datagram" \
    "$(tshark -X "lua_script:$tmp/mesh.lua" -r $capture -q -z io,phs 2>/dev/null | sed -n 's/^ *diolkos *frames:\([0-9]*\).*/\1/p')" \
    "$(tshark -X "lua_script:$tmp/mesh.lua" -r $capture -Y mesh.magic 2>/dev/null | grep -c .)"

# The third datagram, PING #5, as a PONG, which is longer.
{ head -c 329 tests/dissect/numbers.pcap && printf '\x0b' && tail -c +331 tests/dissect/numbers.pcap; } >"$tmp/malformed.pcap"
agree "they agree that a malformed datagram takes no number" "$tmp/malformed.pcap" 75
check_equal "so that #4 is after a gap, and not late" "$(awk '$1 == 4 && /analysis/ { print $2, $3 }' "$tmp/a")" "mesh.analysis.gap 1"

# Numbers that no sender reaches: #9, or #6 and #9, with high bytes that are not zero.
number() { LC_ALL=C sed "s/\\x01\\x00\\x00\\x00\\($1\\)\\x00\\x00\\x00\\x00\\x00\\x00\\x00/\\x01\\x00\\x00\\x00\\1\\x00\\x00\\x00$2/"; }
number '\x09' '\x01\x00\x00\x00' <tests/dissect/numbers.pcap >"$tmp/gap.pcap"
agree "they agree on a gap of more than 32 bits" "$tmp/gap.pcap" 80
check_equal "and it is that large" "$(awk '$2 == "mesh.analysis.gap" && $3 > 2 { print $3 }' "$tmp/a")" 4294967298
# Then #6 twice more.
{
    cat "$tmp/gap.pcap"
    for second in '\x01' '\x02'; do
        printf '%b\xf1\x53\x65\x00\x00\x00\x00\x6a\x00\x00\x00\x6a\x00\x00\x00' "$second"
        tail -c +651 tests/dissect/numbers.pcap | head -c 106
    done
} >"$tmp/after.pcap"
agree "they agree on a number from before a gap that is larger than what they remember" "$tmp/after.pcap" 80
check_equal "it is late, not a duplicate" "$(awk '$1 > 7 && /analysis/ { print $1, $2 }' "$tmp/a")" \
    "$(printf '8 mesh.analysis.late\n9 mesh.analysis.late')"
number '[\x06\x09]' '\x00\x00\x00\x10' <tests/dissect/numbers.pcap >"$tmp/large.pcap"
check_equal "numbers beyond the exact ones of Lua do not hold the plugin up" \
    "$(timeout -s KILL 120 tshark -X "lua_script:$tmp/mesh.lua" -r "$tmp/large.pcap" -T fields -e mesh.number 2>/dev/null | tr '\n' ' ')" \
    "1 2 5 4 4 1152921504606846982 1152921504606846985 "

# An ICMP error (port unreachable) returns the first datagram.
{
    head -c 146 tests/dissect/numbers.pcap
    printf '\x00\xf1\x53\x65\x01\x00\x00\x00\x86\x00\x00\x00\x86\x00\x00\x00'
    tail -c +41 tests/dissect/numbers.pcap | head -c 14
    printf '\x45\x00\x00\x78\x00\x00\x00\x00\x40\x01\x00\x00\x0a\x00\x00\x02\x0a\x00\x00\x01\x03\x03\x00\x00\x00\x00\x00\x00'
    tail -c +55 tests/dissect/numbers.pcap | head -c 92
} >"$tmp/returned.pcap"
check_equal "what an ICMP error returns is shown, and no duplicate" \
    "$(tshark -2 -X "lua_script:$tmp/mesh.lua" -r "$tmp/returned.pcap" -T fields -E separator=, -e frame.number -e mesh.number \
        -e mesh.analysis.duplicate 2>/dev/null | tr '\n' ' ')" "1,1, 2,1, "

# Bits that have words: lines "NAME FRAME", where they are set.
capture=docs/captures/host-host0.pcap
while read -r bit; do
    tshark -X "lua_script:$tmp/mesh.lua" -r "$capture" -Y "$bit == 1" -T fields -e frame.number 2>/dev/null | sed "s/^/$bit /"
done <"$tmp/bits" >"$tmp/a"
while read -r bit; do
    "$mesh_dissect" -r "$capture" --json -Y "$bit" | sed -n "s/.*\"frame\":\([0-9]*\),.*/$bit \1/p"
done <"$tmp/bits" >"$tmp/b"
check "they agree on single bits of $(cut -d' ' -f1 "$tmp/b" | uniq | wc -l) of $(wc -l <"$tmp/bits") kinds" \
    bash -c 'test -s "$1" && diff "$1" "$2"' _ "$tmp/a" "$tmp/b"
check_equal "they agree on the words of set bits" \
    "$(tshark -X "lua_script:$tmp/mesh.lua" -r $capture -O diolkos 2>/dev/null | sed -n 's/^ *flags: \([0-9]* bits.*\)/\1/p' |
        sort | uniq -c)" \
    "$("$mesh_dissect" -r $capture -v | sed -n 's/^ *4  flags *\([0-9]* bits.*\)/\1/p' | sort | uniq -c)"

# Expert info, as lines "KIND FRAME", and with the severity: a warning is 6291456, a note 4194304.
kinds=(gap lost duplicate reordered late resend)
expert_by_tshark() { # CAPTURE
    tshark -2 -X "lua_script:$tmp/mesh.lua" -r "$1" -Y _ws.expert -T fields -E separator=/t -e frame.number -e _ws.expert.severity \
        "${kinds[@]/#/-emesh.expert.}" 2>/dev/null >"$tmp/expert"
    awk -F '\t' -v kinds="${kinds[*]}" 'BEGIN { split(kinds, kind, " ") }
        { for (i = 3; i <= NF; i++) if ($i != "") print kind[i - 2], $1 }' \
        "$tmp/expert" | sort
}
expert_by_dissect() { # CAPTURE
    local kind filter
    for kind in "${kinds[@]}"; do
        case $kind in gap) filter='gap > 0' ;; resend) filter=resent ;; *) filter=$kind ;; esac
        "$mesh_dissect" -r "$1" --json -Y "$filter" | sed -n "s/.*\"frame\":\([0-9]*\),.*/$kind \1/p"
    done | sort
}
for capture in tests/dissect/numbers.pcap docs/captures/host-host0.pcap docs/captures/port-host1.pcap; do
    expert_by_tshark "$capture" >"$tmp/a"
    expert_by_dissect "$capture" >"$tmp/b"
    check "expert info of ${capture##*/} is about the frames that mesh-dissect names: $(wc -l <"$tmp/b")" \
        bash -c 'test -s "$1" && diff "$1" "$2"' _ "$tmp/a" "$tmp/b"
    check_equal "expert info of ${capture##*/} has warnings for gaps and losses, and notes for the rest" \
        "$(cut -f 2 "$tmp/expert" | tr ',' '\n' | sort | uniq -c)" \
        "$(awk '{ print ($1 == "gap" || $1 == "lost" ? 6291456 : 4194304) }' "$tmp/b" | sort | uniq -c)"
done

# A real run on the loopback, where capturing is permitted.
capture() { # FILE OPTIONS...: mesh-node run with them is captured
    local file=$1
    shift
    "$mesh_dissect" -i lo -w "$file" -B 8192 -Z root udp >/dev/null 2>"$tmp/listening" </dev/null &
    local pid=$!
    background_pids+=("$pid")
    if ! wait_until 5 grep -q "listening on" "$tmp/listening"; then return 1; fi
    "$mesh_node" run -m "$tmp/m.gguf" --local 3 -t 1 -p abc -n 4 --temp 0 "$@" >/dev/null 2>&1 </dev/null
    sleep 0.5
    kill -INT "$pid"
    wait "$pid"
}
if [ -x "$mesh_node" ] && "$mesh_node" synth -o "$tmp/m.gguf" --dim 64 --hidden 128 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 64 \
    --type q8_0 --seed 1 >/dev/null 2>&1 && capture "$tmp/plain.pcap" --security none --lab loss=2%,seed=1; then
    agree "they agree on a real run" "$tmp/plain.pcap" 3000
    capture "$tmp/sealed.pcap"
    agree "they agree on the headers of a sealed one" "$tmp/sealed.pcap" 3000
else
    skip "they agree on a real run" "no permission to capture here, or mesh-node is not built"
fi
finish
