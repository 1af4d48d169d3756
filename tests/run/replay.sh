#!/bin/bash
# Captures in tests/dissect become traces (mesh-dissect --import), and mesh-replay shows what they hold.
# Runs beside others.
. tests/run/lib.sh
mesh_replay=$BIN/mesh-replay
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_replay" ] || skip_all "mesh-replay is not built (libsqlite3-dev, libzstd-dev or libxxhash-dev is missing)"
captures=tests/dissect

check "the commands are listed" "$mesh_replay" --help
for command in $("$mesh_replay" --help | awk '/^  [a-z]+ +/ && $1 != "mesh-replay" { print $1 }'); do
    run "$mesh_replay" "$command" --help
    check_equal "the help of $command fits a screen" "$(awk 'length > 100 { wide++ } END { print (NR <= 40) + 0, wide + 0 }' "$out")" "1 0"
done
check_exit "no command is refused" 2 "mesh-replay: no command: nothing to do: " "$mesh_replay"
check_equal "the message is all that is said" "$(wc -l <"$err")" 1
check "a command tells the version, too" "$mesh_replay" info --version
check_equal "it is that of the program" "$(cat "$out")" "$("$mesh_replay" --version)"
check_exit "no such command has a version" 2 "no such command" "$mesh_replay" inof --version
check_exit "a misspelt command is named" 2 "did you mean info" "$mesh_replay" inof
check_exit "a trace that is missing is named" 4 "No such file" "$mesh_replay" info "$tmp/nowhere.db"
echo "no trace, but long enough to be read as the header of a database, which has a hundred bytes and a text at its beginning" >"$tmp/text"
check_exit "a file that is no trace is refused" 3 "not an SQLite file" "$mesh_replay" info "$tmp/text"

echo "404: Not Found" >"$tmp/short"
check_exit "nor is a shorter one taken for a database" 3 "not an SQLite file, with its 15 bytes" "$mesh_replay" info "$tmp/short"
for ((i = 1; i <= 65; i++)); do : >"$tmp/many.$i.db"; done
for command in info verify "export --csv $tmp/none" "run --speed max"; do
    # shellcheck disable=SC2086 # words of a command
    check_exit "${command%% *} says how many traces it takes" 2 "give at most 64 traces" "$mesh_replay" $command "$tmp"/many.*.db
done
rm "$tmp"/many.*.db
if command -v sqlite3 >/dev/null; then
    cp tests/traces/lossy.db "$tmp/lacking.db"
    chmod u+w "$tmp/lacking.db"
    sqlite3 "$tmp/lacking.db" "DROP TABLE telemetry_step"
    for command in info "query --named stalls" "export --perfetto $tmp/lacking.json"; do
        # shellcheck disable=SC2086 # words of a command
        check_exit "a trace that lacks a table is a bad file to ${command%% *}, not wrong usage" 3 "no such table: " \
            "$mesh_replay" $command "$tmp/lacking.db"
    done
    "$mesh_replay" query tests/traces/lossy.db --named stalls >"$tmp/stalls"
    "$mesh_replay" query tests/traces/lossy.db --named tokens >"$tmp/tokens"
    cp tests/traces/lossy.db "$tmp/older.db"
    chmod u+w "$tmp/older.db"
    sqlite3 "$tmp/older.db" "DROP VIEW stalls; DROP VIEW token_times; CREATE VIEW stalls AS SELECT 1 AS duration_ns"
    run "$mesh_replay" query "$tmp/older.db" --named stalls
    check_same "views are those of this version, not of the one that wrote the trace" "$out" "$tmp/stalls"
    run "$mesh_replay" query "$tmp/older.db" --named tokens
    check_same "a view that the trace lacks is there" "$out" "$tmp/tokens"
    check_exit "a query of a table that no trace has is wrong usage" 2 "no such table: nowhere" \
        "$mesh_replay" query "$tmp/lacking.db" "SELECT * FROM nowhere"
    sqlite3 "$tmp/begun.db" "PRAGMA application_id = 0x446d5472; CREATE TABLE t(x); DROP TABLE t"
    check_exit "a killed recorder's file without its -wal is recognised" 3 "with -wal: copy both" \
        "$mesh_replay" info "$tmp/begun.db"
    head -c 5000 tests/traces/lossy.db >"$tmp/begun.db-wal" # as after a power failure
    check_exit "a file whose -wal cannot be read is not said to lack it" 3 "-wal, which is damaged or cut" \
        "$mesh_replay" info "$tmp/begun.db"
fi

# ---- reading does not change a recording ----

recorded=$tmp/recorded.db
cp tests/traces/lossy.db "$recorded"
datagrams=597 tiles=315 # in that recording, as tests/tools/record-lossy prints
chmod a-w "$recorded"
state() { sha256sum <"$recorded" && stat -c '%n %y %s' "$recorded"*; }
before=$(state)
check "info reads a read-only recording" "$mesh_replay" info "$recorded"
check_contains "info counts rows of its calls" "$out" "datagrams              $datagrams"
check_equal "a query reads a read-only recording" \
    "$("$mesh_replay" query "$recorded" "SELECT count(*) FROM tiles JOIN datagrams USING(id)" | tail -1)" "$tiles"
check_equal "a query takes a JSON column apart, also beside rows of calls" "$("$mesh_replay" query "$recorded" \
    "SELECT count(DISTINCT m.value), (SELECT count(*) FROM datagrams), (SELECT count(*) FROM json_tree('[1,2]')) FROM epochs e,
    json_each(e.members) m" | tail -1)" $'3\t597\t3'
check_exit "a query that would change a recording is refused" 2 "only be read" "$mesh_replay" query "$recorded" "DELETE FROM datagrams"
check "export reads a read-only recording" "$mesh_replay" \
    export "$recorded" --perfetto "$tmp/r.json" --pcap "$tmp/r.pcap" --csv "$tmp/r.csv"
check_equal "the export has all datagrams" "$(wc -l <"$tmp/r.csv/datagrams.csv")" $((datagrams + 1))
check "diff reads a read-only recording" "$mesh_replay" diff "$recorded" "$recorded"
check "verify reads a read-only recording" "$mesh_replay" verify "$recorded"
check "an export goes over that of another trace" "$mesh_replay" export "$recorded" --csv "$tmp/mixed.csv"
if unshare -m sh -c 'mount -t tmpfs -o size=64k none /mnt' 2>/dev/null; then
    # shellcheck disable=SC2016 # for the inner shell
    check_equal "an exported table that does not fit on the disk leaves no partial file" "$(
        unshare -m sh -c 'mount -t tmpfs -o size=64k none /mnt && mkdir /mnt/csv && echo old >/mnt/csv/datagrams.csv &&
            { "$@" 2>/dev/null; echo "$?" "$(cat /mnt/csv/datagrams.csv)"; }' sh "$mesh_replay" export "$recorded" --csv /mnt/csv
    )" "4 old"
else
    skip "an exported table that does not fit on the disk leaves no partial file" "this user may not mount"
fi
check_equal "no command changed the recording, or left a file beside it" "$(state)" "$before"
LC_ALL=C sed 's/payloads/pay\x1b[2Js/' tests/traces/lossy.db >"$tmp/armed.db"
check "info shows the metadata of a recording" "$mesh_replay" info "$tmp/armed.db"
check_contains "info escapes terminal controls in metadata" "$out" 'pay\x1b[2Js'

[ -x "$mesh_dissect" ] || { finish; }

ask() { # QUESTION: rows of $trace, without the line of names
    "$mesh_replay" query "$trace" "$@" | tail -n +2
}
trace=$tmp/messages.db
check "a capture becomes a trace" "$mesh_dissect" -r $captures/messages.pcap --import "$trace"
check_exit "an import does not overwrite a file" 4 "give another name" "$mesh_dissect" -r $captures/messages.pcap --import "$trace"
check_exit "live captures are imported from a file" 2 "without -r" "$mesh_dissect" -i lo --import "$tmp/live.db"
check_equal "each datagram is a row with its type" "$(ask --named messages | cut -f 6)" \
    "$("$mesh_dissect" -r $captures/messages.pcap --json | sed -nE 's/.*"type":"([A-Z_]+)".*/\1/p')"
fields='step|phase|block_first|block_count'
check_equal "the fields of a datagram are columns" "$(ask "SELECT step, phase, block_first, block_count FROM message_tile")" \
    "$("$mesh_dissect" -r $captures/messages.pcap -v | awk "/TILE/ { tile = 1 } tile && /^ .* ($fields) / { print }" |
        sed -nE "s/.* ($fields) +([0-9]+).*/\\2/p" | head -4 | paste -s)"
check_equal "--import prints nothing" "$("$mesh_dissect" -r $captures/messages.pcap --import "$tmp/again.db")" ""
trace=$tmp/numbers.db
"$mesh_dissect" -r $captures/numbers.pcap --import "$trace"
check_equal "losses that the analysis names are events" "$(ask "SELECT count(*) FROM events WHERE kind = 'lost'")" \
    "$("$mesh_dissect" -r $captures/numbers.pcap --analyze --json | sed -nE 's/.*"summary".*"lost":([0-9]+).*/\1/p')"

run "$mesh_replay" info "$trace"
check_contains "info counts datagrams" "$out" "datagrams              7"
run "$mesh_replay" info "$trace" --json
check_contains "info --json counts datagrams" "$out" '"datagrams":7'
for name in $("$mesh_replay" query --help | awk 'found && /^  / { print $1 } /^named queries:/ { found = 1 }'); do
    check "the named query $name works" "$mesh_replay" query "$trace" --named "$name"
done
check_exit "a misspelt query is named" 2 "did you mean lost" "$mesh_replay" query "$trace" --named lots
check_exit "a trace cannot be changed" 2 "only be read" "$mesh_replay" query "$trace" "DELETE FROM datagrams"
check_exit "a query that does not end is stopped" 2 "too long" "$mesh_replay" query "$trace" --seconds 1 \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
check_equal "rows come as CSV" "$("$mesh_replay" query "$trace" --csv "SELECT 1 AS a, 'x,\"y' AS b, NULL AS c" | tr -d '\r')" \
    $'a,b,c\n1,"x,""y",'
check_equal "rows come as JSON" "$("$mesh_replay" query "$trace" --json "SELECT 1 AS a, NULL AS b, x'ff' AS c")" \
    '{"schema_version":1,"event":"row","a":1,"b":null,"c":"ff"}'

# Several traces, as `mesh-node run --local` writes them, make one table.
both=("$tmp/numbers.db" "$tmp/messages.db")
rows="SELECT count(*) AS n FROM datagrams"
counts=()
for each in "${both[@]}"; do counts+=("$("$mesh_replay" query "$each" "$rows" | tail -n 1)"); done
check_equal "rows of several traces begin with the trace" "$("$mesh_replay" query "${both[@]}" "$rows")" \
    "$(printf 'trace\tn\n%s\t%s\n%s\t%s' "${both[0]}" "${counts[0]}" "${both[1]}" "${counts[1]}")"
check_equal "and so in objects" "$("$mesh_replay" query --json "${both[@]}" "$rows")" \
    "$(printf '{"schema_version":1,"event":"row","trace":"%s","n":%s}\n' "${both[0]}" "${counts[0]}" "${both[1]}" "${counts[1]}")"
check_equal "a named query has rows of each" "$("$mesh_replay" query "${both[@]}" --named types | cut -f 1 | sort -u)" \
    "$(printf '%s\n' trace "${both[@]}" | sort)"
check_exit "traces without a query are wrong usage" 2 "no query" "$mesh_replay" query "${both[@]}"
check_exit "a trace that is named twice is wrong usage" 2 "name each trace once" "$mesh_replay" query "${both[0]}" "${both[0]}" "$rows"

for capture in messages numbers layers trouble; do
    [ -e "$tmp/$capture.db" ] || "$mesh_dissect" -r $captures/$capture.pcap --import "$tmp/$capture.db"
    check "$capture is exported" "$mesh_replay" export "$tmp/$capture.db" --pcap "$tmp/$capture.pcap" --perfetto "$tmp/$capture.json"
done
fields() { "$mesh_dissect" -r "$1" -v | grep -v '^    frame'; }
check_equal "an exported capture has the same fields" "$(fields "$tmp/messages.pcap")" "$(fields $captures/messages.pcap)"
check_equal "an exported capture has the same losses" \
    "$("$mesh_dissect" -r "$tmp/numbers.pcap" --analyze)" "$("$mesh_dissect" -r $captures/numbers.pcap --analyze)"
"$mesh_replay" export "$tmp/messages.db" --pcap - >"$tmp/stdout.pcap"
check_same "stdout is a file as well" "$tmp/stdout.pcap" "$tmp/messages.pcap"
if command -v python3 >/dev/null; then
    check "Perfetto gets JSON in which every arrow has two ends" python3 -c '
import json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
ends = {kind: sorted(e["id"] for e in events if e["ph"] == kind) for kind in "sf"}
assert ends["s"] == ends["f"] and ends["s"], ends' "$tmp/layers.json"
else
    skip "Perfetto gets JSON in which every arrow has two ends" "python3 is not installed"
fi
if command -v python3 >/dev/null; then
    cp "$tmp/messages.db" "$tmp/moved.db"
    python3 - "$tmp/moved.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("DELETE FROM datagrams WHERE id > 4")
for id, direction, epoch, address in (1, 2, 1, 2), (2, 2, 2, 3), (3, 1, 1, None), (4, 1, 2, None):
    ip = bytes(10) + b"\xff\xff\n\0\0" + bytes([address]) if address else None
    db.execute("UPDATE datagrams SET core = 1, direction = ?, epoch = ?, src = ?, ranks = 2, from_ip = ?, to_ip = NULL WHERE id = ?",
               (direction, epoch, direction - 1, ip, id))
db.commit()
PY
    "$mesh_replay" export "$tmp/moved.db" --pcap "$tmp/moved.pcap"
    check_equal "an arrow to a rank ends at the node with that rank in that epoch" \
        "$("$mesh_dissect" -r "$tmp/moved.pcap" -t | sed -n 's/^IP .* > \(10[.0-9]*\)\.[0-9]*: .*/\1/p' | tail -n 2)" $'10.0.0.2\n10.0.0.3'
else
    skip "an arrow to a rank ends at the node with that rank in that epoch" "python3 is not installed"
fi
check "tables are exported as CSV" "$mesh_replay" export "$tmp/messages.db" --csv "$tmp/csv"
check_equal "an exported table has a line per row, and one of names" "$(wc -l <"$tmp/csv/datagrams.csv")" 32
cp "$recorded" "$tmp/own.db"
for command in "export $tmp/own.db --pcap" "export $tmp/own.db --perfetto" "verify $tmp/own.db --junit"; do
    # shellcheck disable=SC2086 # words of a command
    check_exit "${command##* } does not overwrite the trace" 2 "is an input trace" "$mesh_replay" $command "$tmp/own.db"
    check_same "the trace stays as it was" "$tmp/own.db" "$recorded"
done
check_exit "one form of export does not overwrite another" 2 "the same file" \
    "$mesh_replay" export "$recorded" --pcap "$tmp/e" --perfetto "$tmp/e"
check_exit "an export needs a form" 2 "perfetto" "$mesh_replay" export "$tmp/messages.db"
check_exit "a folder that cannot be written to is named" 4 "--csv" "$mesh_replay" export "$tmp/messages.db" --csv "$tmp/none/csv"
before=$(ls "$tmp/mixed.csv")
"$mesh_replay" export "$tmp/messages.db" --csv "$tmp/mixed.csv"
check_equal "an export leaves no table of the earlier one" "$(ls "$tmp/mixed.csv")" "$(ls "$tmp/csv")"
check "the earlier export had other tables" test "$before" != "$(ls "$tmp/csv")"
if [ -e /dev/full ]; then
    ln -sf /dev/full "$tmp/csv/datagrams.csv"
    check_exit "an export names a file on a full disk" 4 "$tmp/csv/datagrams.csv: cannot write: No space" \
        "$mesh_replay" export "$tmp/messages.db" --csv "$tmp/csv"
fi
check_exit "a pcap file is made of one trace" 2 "give one" "$mesh_replay" export "$tmp/messages.db" "$trace" --pcap -

check_contains "it says how several are analysed together" "$err" "mesh-dissect -r A.pcap -r B.pcap --analyze"

# Two nodes with addresses of their own, as of two hosts.
if [ -x "$BIN/mesh-node" ]; then
    port=$(free_port)
    peer() {
        timeout 60 "$BIN/mesh-node" run -m node/models/stories-q8_0.gguf -p "Once upon a time" --temp 0 --ignore-eos -t 1 -n 20 \
            --peers "127.0.0.1:$port,127.0.0.2:$port" --rank "$1" --lab loss=2%,seed=3 --record "$tmp/N.db" >/dev/null 2>&1
    }
    peer 1 &
    other=$!
    peer 0
    wait "$other"
    "$mesh_replay" export "$tmp/N.db" --pcap "$tmp/N0.pcap"
    "$mesh_replay" export "$tmp/N.1.db" --pcap "$tmp/N1.pcap"
    "$mesh_dissect" -r "$tmp/N0.pcap" -r "$tmp/N1.pcap" --analyze >"$tmp/joined"
    check_contains "captures made of the traces of two nodes are joined" "$tmp/joined" "its clock minus that of $tmp/N0.pcap: "
    check "a tile that one node sent and the other did not get is lost between them" \
        grep -q " TILE .* lost, place wire, NAK after" "$tmp/joined"
    check "no datagram counts twice" grep -q "; 0 duplicated," "$tmp/joined"
fi

check_exit "a trace is the same as itself" 0 "" "$mesh_replay" diff "$tmp/messages.db" "$tmp/again.db"
check_contains "diff reports equal tiles" "$out" "tiles: the same: 1 in both"
check_exit "traces without anything in common are not compared" 77 "nothing was compared" "$mesh_replay" diff "$tmp/messages.db" "$trace"
run "$mesh_replay" diff "$tmp/messages.db" "$recorded"
check_contains "missing tokens of a capture are no difference" "$out" "tokens: nothing in common to compare"
check_exit "a misspelt threshold is an error" 2 "did you mean --max-slower" "$mesh_replay" diff "$trace" "$trace" --max-slow 3
finish
