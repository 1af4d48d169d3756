#!/bin/bash
# mesh-dissect on the captures in tests/dissect, each with its expected output beside it. After a change of the protocol or of the output
# MESH_UPDATE=1 tests/run/dissect.sh writes the texts anew; then review them.
# Runs beside others.
. tests/run/lib.sh
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
export TZ=UTC

# golden SENTENCE NAME OPTIONS...: the output for tests/dissect/CAPTURE.pcap equals NAME.txt
golden() {
    local sentence=$1 text=tests/dissect/$2.txt
    shift 2
    run "$mesh_dissect" "$@"
    [ -z "${MESH_UPDATE:-}" ] || cp "$out" "$text"
    if [ "$code" -ne 0 ]; then not_ok "$sentence" "$(show_run)"; else check_same "$sentence" "$out" "$text"; fi
    cmp -s "$out" "$text" || echo "# if that is intended: MESH_UPDATE=1 tests/run/dissect.sh, then review $text"
}
captures=tests/dissect
golden "every message has a line" messages -r $captures/messages.pcap
golden "and a tree of its fields" messages-tree -r $captures/messages.pcap -v
golden "and an object" messages-json -r $captures/messages.pcap --json
golden "what is cut short, corrupt or foreign is told apart" trouble -r $captures/trouble.pcap -e -# -tttt
golden "VLANs, options, fragments, IPv6 and several datagrams in a frame are read" layers -r $captures/layers.pcap -e -tt
golden "numbers that are missing, late and doubled are told" numbers -r $captures/numbers.pcap -ttt
golden "what is missing counts as lost where nothing says otherwise" analysis -r $captures/numbers.pcap --analyze
golden "and so in objects" analysis-json -r $captures/numbers.pcap --analyze --json
for capture in lost numbers; do "$mesh_dissect" -r $captures/$capture.pcap --analyze --json; done | grep '"event":"lost"' >"$tmp/losses"
losses=$(wc -l <"$tmp/losses")
check_equal "each loss says when it was repaired, and what it cost" \
    "$(grep -cE '"repair_ms":(null|[0-9.e-]+)[,}]' "$tmp/losses")/$(grep -cE '"stall_ms":[0-9.e-]+[,}]' "$tmp/losses")" "$losses/$losses"
check "one that was not repaired says so" grep -q '"repair_ms":null' "$tmp/losses"
check "one that was repaired says when" grep -q '"repair_ms":[0-9]' "$tmp/losses"
golden "a conversation is drawn as a ladder" ladder -r $captures/numbers.pcap --ladder --seconds 0..0.005
golden "a display filter picks what was lost later" lost -r $captures/lost.pcap -Y 'tile.phase == 17 && peer.src == 0 && (lost || spurious)'
golden "bytes are dumped" dump -r $captures/numbers.pcap -c 1 -X -xx -A

# What each node sent, received and lost.
check "--qlog writes a file for each node" "$mesh_dissect" -r $captures/lost.pcap --qlog "$tmp/lost.sqlog"
for part in lost lost.1; do
    [ -z "${MESH_UPDATE:-}" ] || cp "$tmp/$part.sqlog" $captures/
    check_same "the qlog file is as expected: $part.sqlog" "$tmp/$part.sqlog" $captures/$part.sqlog
done
if command -v python3 >/dev/null; then
    cat >"$tmp/sequence.py" <<'PY'
import json, sys
for name in sys.argv[1:]:
    text = open(name).read()
    assert text[0] == "\x1e" and text[-1] == "\n"
    head, *events = [json.loads(record) for record in text[1:].split("\x1e")]
    assert head["qlog_version"] == "0.3" and head["qlog_format"] == "JSON-SEQ"
    assert head["trace"]["vantage_point"]["type"] in ("client", "server", "network", "unknown")
    assert head["trace"]["common_fields"]["time_format"] == "relative" and head["trace"]["common_fields"]["reference_time"] > 0
    assert events and all({"time", "name", "data"} <= set(event) and ":" in event["name"] for event in events)
    times = [event["time"] for event in events]
    assert times == sorted(times)
PY
    check "both qlog files are JSON text sequences with the head that qlog asks for, and events in order of time" \
        python3 "$tmp/sequence.py" "$tmp/lost.sqlog" "$tmp/lost.1.sqlog"
else
    skip "both qlog files are JSON text sequences" "python3 is not installed"
fi
check_exit "--qlog refuses to read from stdin" 2 "read twice" "$mesh_dissect" -r - --qlog "$tmp/none.sqlog"
check_exit "--qlog refuses a folder that does not exist" 4 "cannot be written" \
    "$mesh_dissect" -r $captures/lost.pcap --qlog "$tmp/no/where.sqlog"
ln -s /dev/full "$tmp/full.sqlog"
check_exit "a qlog file on a full disk is named" 4 "$tmp/full.sqlog: cannot be written: No space left on device" \
    "$mesh_dissect" -r $captures/lost.pcap --qlog "$tmp/full.sqlog"
check_exit "--qlog needs datagrams of the mesh" 3 "nothing for --qlog" \
    "$mesh_dissect" -r $captures/lost.pcap --qlog "$tmp/none.sqlog" -Y 'src == 9'

count() { "$mesh_dissect" "$@" --count 2>/dev/null; }
check_equal "a capture filter picks frames" "$(count -r $captures/layers.pcap udp and dst port 7411 and ip)" "7 datagrams"
check_equal "a display filter picks datagrams" "$(count -r $captures/messages.pcap -Y 'type in {TILE, NAK} || plan')" "3 datagrams"
check_equal "a display filter picks objects of --json" \
    "$("$mesh_dissect" -r $captures/lost.pcap --json -Y lost | grep -c '"number":2,.*"analysis":{"lost":true}')" "1"
check_equal "-c counts the frames that a display filter lets through" \
    "$(count -r $captures/messages.pcap -Y 'number > 3' -c 2)" "2 datagrams"
"$mesh_dissect" -r $captures/lost.pcap -Y 'lost || nak' -w "$tmp/lost.pcap"
check_equal "-w writes the frames that a display filter lets through" "$(count -r "$tmp/lost.pcap")" "2 datagrams"
"$mesh_dissect" -r $captures/layers.pcap -Y 'number == 8' -w "$tmp/pieces.pcap"
check_equal "a display filter keeps all fragments of a datagram" \
    "$("$mesh_dissect" -r "$tmp/pieces.pcap" | grep -c -e fragment -e '#8')" "2"
"$mesh_dissect" -r $captures/layers.pcap -Y 'number == 9' -w "$tmp/pieces.pcap"
check_equal "a display filter keeps no fragment of another datagram" "$("$mesh_dissect" -r "$tmp/pieces.pcap" | grep -vc '#9')" "0"
check_equal "--analyze lists the losses that a display filter lets through" \
    "$("$mesh_dissect" -r $captures/lost.pcap --analyze -Y 'tile.block_first == 1' | grep -c ' lost, place')" "1"
check_equal "--analyze lists no other losses" \
    "$("$mesh_dissect" -r $captures/lost.pcap --analyze -Y 'tile.block_first == 2' | grep -c ' lost, place')" "0"
check_exit "a display filter that is none is refused, with the column" 2 "column 9: 'tile.phse': no such field: did you mean tile.phase?" \
    "$mesh_dissect" -r $captures/lost.pcap -Y 'tile && tile.phse == 17'
check_contains "the error of a display filter is marked below its text" "$err" "          ^~~~~~~~~"
check_equal "a ladder draws what a display filter lets through, with what was lost" \
    "$("$mesh_dissect" -r $captures/lost.pcap --ladder -Y 'lost || nak' | grep -c 'LOST$\|NAK')" "2"
check_equal "losses in several captures are picked, too" \
    "$("$mesh_dissect" -r $captures/lost.pcap -r $captures/numbers.pcap --analyze -Y 'tile.phase == 17' | grep -c ' lost, place')" "1"
check_equal "a display filter picks arrows of a ladder of several captures, too" \
    "$("$mesh_dissect" -r $captures/lost.pcap -r $captures/numbers.pcap --ladder -Y 'nak || gap > 9' | grep -c NAK)" "1"
check_equal "what was lost in a second file is known, too" \
    "$(count -r $captures/numbers.pcap -r $captures/lost.pcap -Y 'lost && tile.phase == 17')" "$(printf '0 datagrams\n1 datagrams')"
both=(-r docs/captures/port-host0.pcap -r docs/captures/port-host1.pcap)
check_equal "a ladder of several captures shows every lost datagram" \
    "$("$mesh_dissect" "${both[@]}" --ladder -Y lost | grep -c ' LOST$')" \
    "$("$mesh_dissect" "${both[@]}" --analyze | grep -c ' lost, place')"
check_equal "a ladder of lost datagrams shows no others" "$("$mesh_dissect" "${both[@]}" --ladder -Y lost | grep -vc ' LOST$\|^ *ms ')" "0"
dropped=$("$mesh_dissect" -r $captures/lost.pcap -r $captures/numbers.pcap --ladder -Y 'lost || spurious' | grep -c '|')
check_equal "a ladder shows captured datagrams that were lost later, too" "$dropped" "2"
check_exit "importing a filtered part of a capture is refused" 2 "leave -Y out" \
    "$mesh_dissect" -r $captures/lost.pcap --import "$tmp/part.db" -Y nak
check_exit "a display filter that needs later datagrams is refused on a pipe" 2 "-w" "$mesh_dissect" -r - -Y lost
check "fields of display filters are listed" "$mesh_dissect" --export filter
check "what is written can be read again" "$mesh_dissect" -r $captures/messages.pcap -w "$tmp/copy.pcap"
check_same "a capture written with -w is the same" "$tmp/copy.pcap" $captures/messages.pcap
check_equal "-c counts frames" "$(count -r $captures/messages.pcap -c 7)" "7 datagrams"
check_equal "a capture comes from stdin" "$("$mesh_dissect" -r - --count <$captures/messages.pcap)" \
    "$(wc -l <$captures/messages.txt) datagrams"

# The same frames in the newer format.
[ -z "${MESH_UPDATE:-}" ] || editcap -F pcapng $captures/lost.pcap $captures/lost.pcapng
of_lost() { # FILE OPTIONS...
    "$mesh_dissect" -r "$captures/$1" "${@:2}" 2>&1 | sed -E 's/ in [0-9.]+ s;/;/'
}
for options in "-e -# -tttt -v" "--json" "--analyze" "--ladder"; do
    # shellcheck disable=SC2086 # options are words
    check_equal "a pcapng file says what the pcap says: $options" "$(of_lost lost.pcapng $options)" "$(of_lost lost.pcap $options)"
done
check_equal "a display filter picks from pcapng, too" "$(count -r $captures/lost.pcapng -Y 'lost || nak')" "2 datagrams"
check_equal "pcapng comes from stdin" "$("$mesh_dissect" -r - --count <$captures/lost.pcapng)" "8 datagrams"
# Files of several interfaces, which libpcap reads only when they are alike: Ethernet and cooked frames, and two snapshot lengths.
kinds=$captures/kinds.pcapng lengths=$captures/lengths.pcapng
check_exit "a file with interfaces of several kinds is refused, with the remedy" 3 "tshark -r FILE -Y 'frame.interface_id == 0'" \
    "$mesh_dissect" -r "$kinds"
check_equal "datagrams before the other interface are read" "$(wc -l <"$out")" "1"
check_exit "a file with several snapshot lengths is refused, with the remedy" 3 "editcap -F nsecpcap FILE a.pcap" \
    "$mesh_dissect" -r "$lengths"
if command -v tshark >/dev/null && command -v editcap >/dev/null; then
    tshark -r "$kinds" -Y 'frame.interface_id == 0' -w "$tmp/a.pcapng" 2>/dev/null
    editcap -T ether -F nsecpcap "$tmp/a.pcapng" "$tmp/kinds.pcap"
    editcap -F nsecpcap "$lengths" "$tmp/lengths.pcap"
    check_equal "the commands of these refusals make files that can be read" \
        "$("$mesh_dissect" -r "$tmp/kinds.pcap" | grep -c UDP) $("$mesh_dissect" -r "$tmp/lengths.pcap" | grep -c UDP)" "2 2"
else
    skip "the commands of these refusals make files that can be read" "tshark and editcap are not installed"
fi
gzip -c $captures/lost.pcap >"$tmp/lost.pcap.gz"
check_exit "a compressed file is refused, with the command that reads it" 3 "zcat FILE | mesh-dissect -r -" \
    "$mesh_dissect" -r "$tmp/lost.pcap.gz"
check_equal "that command reads the compressed file" "$(zcat "$tmp/lost.pcap.gz" | "$mesh_dissect" -r - --count)" "8 datagrams"
check_exit "several interfaces are refused" 2 "capture on any" "$mesh_dissect" -i lo -i eth0
# A pipe that stays open: the datagrams so far are analysed when the reader is told to end, which SIGUSR1 does not do.
mkfifo "$tmp/pipe"
"$mesh_dissect" -r "$tmp/pipe" --analyze >"$tmp/piped" 2>"$tmp/told" &
reader=$!
background_pids+=("$reader")
exec 8>"$tmp/pipe"
cat $captures/lost.pcap >&8
sleep 0.3
kill -USR1 "$reader"
sleep 0.3
kill -INT "$reader"
wait "$reader"
check_equal "a pipe ends well with SIGINT, and not with SIGUSR1" "$? $(grep -c 'datagrams in' "$tmp/piped") $(cat "$tmp/told")" "0 1 "
exec 8>&-
head -c 1000 $captures/lost.pcapng >"$tmp/cut.pcapng"
check_exit "a truncated pcapng file is reported" 3 "truncated" "$mesh_dissect" -r "$tmp/cut.pcapng"

# A pipe that stays open: datagrams are shown as they arrive, or at the end.
{
    cat $captures/numbers.pcap
    exec sleep 20 # which ends with this pipe
} > >(exec "$mesh_dissect" -U -r - >"$tmp/at-once") &
background_pids+=($!)
at_once() { cmp -s "$tmp/at-once" "$tmp/in-the-end"; }
"$mesh_dissect" -r $captures/numbers.pcap >"$tmp/in-the-end"
check "-U without -w shows each datagram at once" wait_until 10 at_once

run "$mesh_dissect" -r $captures/messages.pcap -w "$tmp/part" -C 1 -W 3
check "-C and -W name the files" test -s "$tmp/part0"

check_exit "a file that is missing is named" 4 "nowhere.pcap" "$mesh_dissect" -r nowhere.pcap
echo "no capture" >"$tmp/text"
check_exit "a file that is no capture is refused" 3 "not a capture" "$mesh_dissect" -r "$tmp/text"
head -c 1000 $captures/messages.pcap >"$tmp/cut.pcap"
check_exit "a truncated pcap file is reported" 3 "truncated" "$mesh_dissect" -r "$tmp/cut.pcap"
check_contains "datagrams before the truncation are decoded" "$out" "HELLO_ACK"
check_exit "an invalid capture filter is refused" 2 "not a capture filter" "$mesh_dissect" -r $captures/messages.pcap udp and and
check_exit "a key file without a key is refused" 3 "no key in it" "$mesh_dissect" -r $captures/messages.pcap --key "$tmp/text"
check_exit "a missing interface is named" 4 "nothing0" "$mesh_dissect" -i nothing0 -c 1
check_exit "--analyze refuses stdin as one of several files" 2 "read twice" "$mesh_dissect" -r - -r "$tmp/text" --analyze
check_exit "a range of steps the wrong way round is refused" 2 "--steps" "$mesh_dissect" -r $captures/numbers.pcap --ladder --steps 7..4
check_exit "-i and -r exclude one another" 2 "both given" "$mesh_dissect" -i lo -r "$tmp/text"
check "the interfaces are listed" "$mesh_dissect" -D
check "the tables of the protocol are exported" "$mesh_dissect" --export protocol

run "$mesh_dissect" --help
check_equal "the help fits a page" "$(awk 'length > 100 { wide++ } END { print (NR <= 60) + 0, wide + 0 }' "$out")" "1 0"

# Live, where the test may capture.
if "$mesh_dissect" -i lo -c 1 -w "$tmp/probe.pcap" >/dev/null 2>"$tmp/why" </dev/null & then
    probe=$!
    wait_until 5 grep -q "listening on" "$tmp/why" || true
fi
if grep -q "listening on" "$tmp/why"; then
    port=$(free_port)
    wait_until 10 bash -c "echo x >/dev/udp/127.0.0.1/$port; kill -0 $probe 2>/dev/null && exit 1; exit 0"
    ok "a live capture ends after -c frames"
    "$mesh_dissect" -i lo -w "$tmp/live.pcap" udp port "$port" >/dev/null 2>"$tmp/live" </dev/null &
    background_pids+=($!)
    live=$!
    wait_until 5 grep -q "listening on" "$tmp/live"
    for _ in 1 2 3; do echo hello >"/dev/udp/127.0.0.1/$port"; done
    check "SIGUSR1 prints the counts of a live capture" wait_until 5 bash -c "kill -USR1 $live; grep -q '^3 packets captured' '$tmp/live'"
    kill -INT "$live"
    wait "$live"
    check_equal "SIGINT ends a live capture with exit code 0" "$?" "0"
    check_contains "a live capture reports what the kernel dropped" "$tmp/live" "dropped by kernel"
    check_equal "a live capture holds what was sent" "$("$mesh_dissect" -r "$tmp/live.pcap" | grep -c 'UDP')" "3"
else
    kill "$probe" 2>/dev/null
    skip "a live capture ends after -c frames" "no permission to capture here"
fi
finish
