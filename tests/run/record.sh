#!/bin/bash
# What --record leaves on the disk: whole traces of a lossy run, readable ones of killed nodes, and messages where room or permission is
# missing.
# RECORD_KILLS (5): how often a run is killed at a random moment. RECORD_SEED repeats the moments.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
command -v sqlite3 >/dev/null || skip_all "sqlite3 (the command) is not installed"

model=node/models/stories-q8_0.gguf
kills=${RECORD_KILLS:-5}
RANDOM=${RECORD_SEED:-$$}
echo "# RECORD_SEED=${RECORD_SEED:-$$}"
question=(run -m "$model" -p "Once upon a time" --temp 0 --ignore-eos -t 1)
generate() { "$mesh_node" "${question[@]}" "$@"; }
sql() { sqlite3 "$1" "$2"; }

check_exit "a trace of several nodes is recorded" 0 "recorded: $tmp/T.db: " \
    generate -n 30 --local 3 --lab loss=1%,seed=3 --record "$tmp/T.db" --digest
if grep -q "built without sqlite3" "$err"; then skip_all "mesh-node was built without the trace store"; fi
cp "$out" "$tmp/digest"
check "a recording changes nothing" generate -n 30 --digest
check_same "the digest of a recorded run is that of one process alone" "$out" "$tmp/digest"
for file in T.db T.1.db T.2.db; do
    check_equal "$file is whole" "$(sql "$tmp/$file" 'PRAGMA integrity_check')" "ok"
    check_equal "$file has all calls, and all tokens" "$(sql "$tmp/$file" \
        "SELECT (SELECT count(*) FROM gaps), (SELECT count(*) FROM tokens), (SELECT sum(count) > 500 FROM chunks),
        (SELECT max(first + count) - 1 - sum(count) FROM chunks), (SELECT count(*) FROM epochs WHERE config IS NOT NULL),
        (SELECT tokens FROM requests WHERE kind = 'end')")" "0|30|1|0|1|30"
    check_equal "$file is for its owner alone" "$(stat -c %a "$tmp/$file")" 600
done
if [ -x "$BIN/mesh-replay" ]; then
    check "all cores run again from the recording, with the same output" \
        "$BIN/mesh-replay" verify "$tmp/T.db" "$tmp/T.1.db" "$tmp/T.2.db"
fi
check_equal "a trace states what it holds" \
    "$(sql "$tmp/T.1.db" "SELECT value FROM meta WHERE key IN ('command', 'ids', 'payloads') ORDER BY key" | paste -sd ' ')" \
    "run all all"
check_exit "an existing trace is not written over" 4 "--record $tmp/T.db: " generate -n 1 --record "$tmp/T.db"
cp node/models/README.md "$tmp/letter.db"
check_exit "a file of another kind is not overwritten" 3 "no trace" generate -n 1 --record "$tmp/letter.db"
check_same "the file of another kind stays as it was" node/models/README.md "$tmp/letter.db"
mkfifo "$tmp/pipe.db"
check_exit "a pipe is refused, not waited for" 3 "no trace" timeout 20 "$mesh_node" "${question[@]}" -n 1 --record "$tmp/pipe.db"
program=$(realpath "$mesh_node")
here=$PWD
in_folder() (cd "$tmp" && "$program" run -m "$here/$model" -p Once --ignore-eos -t 1 -n 3 --record "$1")
for name in ":memory:" "file:M.db?mode=memory"; do
    check "a recording may be called $name" in_folder "$name"
    check_equal "what is recorded as $name is in a file of that name" "$(sql "$tmp/$name" "SELECT count(*) FROM tokens")" 3
    if [ -x "$BIN/mesh-replay" ]; then
        replay=$(realpath "$BIN/mesh-replay")
        # shellcheck disable=SC2016
        check "mesh-replay reads $name" bash -c 'cd "$1" && "$2" info "$3"' bash "$tmp" "$replay" "$name"
    fi
done
check_exit "a folder that is not there is named" 4 "--record $tmp/none/T.db" generate -n 1 --record "$tmp/none/T.db"
check_exit "a large recording continues in more files" 0 "files" generate -n 200 --record "$tmp/R.db" --record-size 1 --local 2
check_equal "the second of these files is whole" "$(sql "$tmp/R-2.db" 'PRAGMA integrity_check')" "ok"
if [ -x "$BIN/mesh-replay" ]; then
    check "these files run again in the order of a shell pattern, which has the first ones last" "$BIN/mesh-replay" verify "$tmp"/R*.db
    check_contains "verify covers both nodes of these files" "$out" "2 the same, 0 different, 0 cut short, 0 skipped"
fi

if [ -x "$BIN/mesh-replay" ]; then
    run "$BIN/mesh-replay" info "$tmp/T.db"
    check_contains "info says that a recording is complete" "$out" "  complete: recorded until its end, 20"
    run "$BIN/mesh-replay" info "$tmp/R.db"
    check_contains "info says where a recording continues" "$out" ", and continues in R-2.db"
    check_exit "verify says which file is missing" 0 "R.db: recorded until" "$BIN/mesh-replay" verify "$tmp/R.db"
    check_contains "verify gives the name of the missing file" "$err" "continues in R-2.db, which is not named"
    check_exit "another large recording has three files at least" 0 "files" \
        generate -n 400 --lab pace=60MB/s --record "$tmp/M.db" --record-size 1 --local 2 # sizes are looked at now and then
    run "$BIN/mesh-replay" verify "$tmp/M.db" "$tmp/M-3.db"
    check_contains "a file that is missing between two others is named" "$err" "M.db: recorded until"
    check_contains "with its name" "$err" "continues in M-2.db, which is not named"
    for file in M M-2 M-3; do cp "$tmp/$file.db" "$tmp/a-$file.db"; done
    run "$BIN/mesh-replay" verify "$tmp"/a-M*.db
    check_equal "files with other names are known by their calls" "$(grep -c "a-M.db\|a-M-2.db" "$err")" 0
    check "verify has all files" "$BIN/mesh-replay" verify "$tmp"/R*.db
    check_equal "verify says nothing where all files are named" "$(cat "$err")" ""
    cp "$tmp/T.db" "$tmp/changed.db"
    sql "$tmp/changed.db" "DELETE FROM tokens WHERE id = 7; UPDATE epochs SET rows = ''; INSERT INTO gaps(id, node, t_ns, end_ns, count)
        VALUES(1, 1, 1, 1, 1)"
    check_exit "a removed token is found" 3 "changed.db: tokens, row 7: it was removed" "$BIN/mesh-replay" verify "$tmp/changed.db"
    check_contains "a changed row is named" "$err" "changed.db: epochs, row 1: it was changed"
    check_contains "an added row is named" "$err" "changed.db: gaps, row 1: it was added"
    run "$BIN/mesh-replay" info "$tmp/changed.db"
    check_contains "info counts rows that were changed" "$out" "rows that are not as they were recorded: 3"
fi

# ---- killed ----

lost=0
for ((i = 0; i < kills; i++)); do
    rm -f "$tmp"/K.*
    background "$mesh_node" "${question[@]}" -n 400 --lab pace=60MB/s --record "$tmp/K.db" --local 2 >/dev/null 2>&1
    pid=$background_pid
    wait_until 10 test -s "$tmp/K.db"
    sleep "0.$(printf '%03d' $((RANDOM % 900)))"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    for file in "$tmp/K.db" "$tmp/K.1.db"; do
        # The other node ends with this one; its file may exist without tables.
        tables=$(sql "$file" "SELECT count(*) FROM sqlite_master WHERE name = 'chunks'" 2>&1)
        [ "$tables" = 0 ] && continue
        found=$(sql "$file" "PRAGMA integrity_check; SELECT coalesce(max(first + count) - 1 - sum(count), 0) FROM chunks" 2>&1 |
            tr '\n' ' ')
        if [ -x "$BIN/mesh-replay" ] && [ -n "$(sql "$file" "SELECT 1 FROM nodes" 2>/dev/null)" ]; then
            "$BIN/mesh-replay" info "$file" >"$tmp/early" 2>&1
            grep -q "ends early: recorded until " "$tmp/early" || found="$found$(head -n 2 "$tmp/early")"
            "$BIN/mesh-replay" verify "$file" >"$tmp/early" 2>&1
            case $? in 0 | 77) ;; *) found="$found$(cat "$tmp/early")" ;; esac
            grep -q "ends early: recorded until" "$tmp/early" || found="$found$(cat "$tmp/early")"
        fi
        if [ "$found" != "ok 0 " ]; then
            lost=$((lost + 1))
            echo "# $file after kill $i: $found"
        fi
    done
done
check_equal "runs killed $kills times left readable traces without holes, which say that they end early" "$lost" 0

# ---- a path that is too long, a -wal that is emptied ----

deep=$tmp
for _ in 1 2 3 4 5; do deep=$deep/$(printf '%0100d' 0); done
mkdir -p "$deep"
check_exit "a path that is too long for SQLite is refused with that reason" 4 "choose a folder with a shorter path" \
    generate -n 1 --record "$deep/T.db"
check_contains "the message ends with the name of the file" "$err" "0/T.db: its whole path has more than 510 bytes"
check_equal "no file is left there" "$(ls "$deep")" ""
in_deep() (cd "$deep" && "$program" run -m "$here/$model" -p Once -t 1 -n 1 --record T.db)
check_exit "so is a short name in a folder whose path is too long" 4 "T.db: its whole path has more than 510 bytes" in_deep
cp "$tmp/T.db" "$deep/T.db"
if [ -x "$BIN/mesh-replay" ]; then
    check_exit "mesh-replay says so, too" 4 "its whole path has more than 510 bytes" "$BIN/mesh-replay" info "$deep/T.db"
fi
background "$mesh_node" "${question[@]}" -n 100 --lab pace=60MB/s --record "$tmp/W.db" >/dev/null 2>"$tmp/wal-err"
pid=$background_pid
has_batches() { [ -s "$tmp/W.db" ] && [ "$(sql "$tmp/W.db" "SELECT count(*) FROM checks WHERE name = 'tokens'")" -ge 2 ]; }
wait_until 10 has_batches
: >"$tmp/W.db-wal"
code=0
wait "$pid" || code=$?
check_equal "a recording whose -wal was emptied is incomplete" "$code" 4
check_contains "the reason is given" "$tmp/wal-err" "its -wal was emptied or cut"
if [ -x "$BIN/mesh-replay" ]; then
    run "$BIN/mesh-replay" info "$tmp/W.db"
    check_contains "and mesh-replay says that there is nothing to be read" "$err" "which was emptied: record again"
fi

# ---- a serving node ----

port=$(free_port)
serve=("$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$port" --drain 0)
ready() { "$mesh_node" status --to "127.0.0.1:$port"; }
metrics=(--metrics 127.0.0.1:0)
run "$mesh_node" serve -m $model --listen "127.0.0.1:$(free_port)" --metrics 192.0.2.1:1 # which is nobody's
if grep -q "built without libmicrohttpd" "$err"; then metrics=(); fi
background "${serve[@]}" --record "$tmp/S.db" ${metrics[@]+"${metrics[@]}"} 2>"$tmp/serve"
node=$background_pid
wait_until 20 ready
check "a node that records answers" "$mesh_node" ask --to "127.0.0.1:$port" -p "Once upon" -n 12 --ignore-eos --temp 0
check_exit "two nodes do not record into one file" 4 "another process records into it" \
    "$mesh_node" serve -m $model -t 1 --listen "127.0.0.1:$(free_port)" --record "$tmp/S.db"
sleep 1.2
# Counters that may only grow: first status, then /metrics, then the trace.
"$mesh_node" status --to "127.0.0.1:$port" --json >"$tmp/status"
if [ ${#metrics[@]} -gt 0 ]; then http_ask "$tmp/serve" GET /metrics >"$tmp/page"; fi
kill -TERM "$node"
wait "$node"
stored=$(sql "$tmp/S.db" "SELECT sum(count) FROM chunks")
told=$(sed -n 's/.*"recording":{[^}]*"calls":\([0-9]*\).*/\1/p' "$tmp/status")
shown=$told
if [ ${#metrics[@]} -gt 0 ]; then shown=$(sed -n 's/^mesh_recording_calls_total //p' "$tmp/page"); fi
if [ "$told" -gt 0 ] && [ "$told" -le "$shown" ] && [ "$shown" -le "$stored" ]; then
    ok "status and /metrics count the calls that are in the trace"
else
    not_ok "status and /metrics count the calls that are in the trace" "$told, then $shown, in the end $stored"
fi
check_equal "a serving node's trace has epochs, requests, tokens, events and reports, and no prompts" "$(sql "$tmp/S.db" \
    "SELECT (SELECT count(*) > 0 FROM epochs), (SELECT count(*) FROM requests WHERE kind = 'begin' AND prompt IS NULL),
    (SELECT count(*) FROM tokens), (SELECT count(*) FROM tokens WHERE token BETWEEN 0 AND 2000), (SELECT count(*) > 0 FROM events),
    (SELECT count(*) > 0 FROM reports), (SELECT value FROM meta WHERE key = 'ids')")" "1|1|12|0|1|1|hash"
if [ -x "$BIN/mesh-replay" ]; then
    run "$BIN/mesh-replay" verify "$tmp/S.db"
    check_contains "its sessions with clients run again" "$out" "S.db, client sessions: the same: "
fi
background "${serve[@]}" --record "$tmp/S.db" --record-prompts --lab pace=20MB/s 2>"$tmp/serve"
node=$background_pid
wait_until 20 ready
background "$mesh_node" ask --to "127.0.0.1:$port" -p "Once upon" -n 400 --ignore-eos --temp 0 >"$tmp/partly" 2>&1
asking=$background_pid
wait_until 20 test -s "$tmp/partly"
kill -INT "$asking"
wait "$asking"
ended() { [ "$(sql "$tmp/S-2.db" "SELECT count(*) FROM requests WHERE kind = 'end'")" = 1 ]; } # when its step is over
wait_until 20 ended
kill -TERM "$node"
wait "$node"
check_contains "a node started again records into the next file" "$tmp/serve" "recorded: $tmp/S-2.db: "
check_equal "a cancelled question is recorded: its prompt, the reason, and its tokens until then" "$(sql "$tmp/S-2.db" \
    "SELECT kind, coalesce(reason, ''), prompt_tokens, length(prompt), CASE kind WHEN 'end' THEN tokens = (SELECT count(*) FROM tokens)
    ELSE tokens BETWEEN 1 AND 400 END FROM requests ORDER BY id" | tr '\n' ' ')" \
    "begin||3|12|1 cancel|the client asked for it|3||1 end|cancelled|3||1 "

background "${serve[@]}" --record "$tmp/L.db" 2>"$tmp/serve"
node=$background_pid
wait_until 20 ready
check "a node answers, and ends at once" "$mesh_node" ask --to "127.0.0.1:$port" -p "Once upon" -n 60 --ignore-eos --temp 0
kill -TERM "$node"
wait "$node"
check_equal "the last report of a node that ends at once counts all tokens" \
    "$(sql "$tmp/L.db" "SELECT max(tokens), (SELECT count(*) FROM tokens) FROM telemetry_node")" "60|60"

# ---- interrupted before it has begun ----

# interrupted SIGNAL NODES OPTION...: nodes that cannot hear one another get the signal once all record; exit code and number of files left
interrupted() {
    local signal=$1 nodes=$2 i rank
    rm -rf "$tmp/early"
    mkdir "$tmp/early"
    background "$mesh_node" run -m $model -p Once -n 5 "${@:3}" --record "$tmp/early/E.db" >"$out" 2>"$err"
    for ((i = 0; i < nodes; i++)); do
        rank=.$i
        wait_until 20 test -s "$tmp/early/E${rank/#.0/}.db" || return
    done
    kill "-$signal" "$background_pid"
    code=0
    wait "$background_pid" || code=$?
    echo "$code $(find "$tmp/early" -type f | wc -l)"
}
check_equal "Ctrl-C while nodes start leaves no files" "$(interrupted INT 2 --local 2 --lab loss=100%)" "130 0"
check_equal "nor does SIGTERM" "$(interrupted TERM 3 --local 3 --lab loss=100%)" "143 0"
port=$(free_port)
check_equal "nor Ctrl-C of one node that waits for another" \
    "$(interrupted INT 1 --peers "127.0.0.1:$port,127.0.0.1:$((port + 1))" --rank 0)" "130 0"

# ---- no room, no permission ----

# At some of these sizes the tables are written and there is no room to put them in order: SQLite leaves its files.
mkdir "$tmp/small"
cat >"$tmp/small.sh" <<END
for ((size = 1600; size < 2400; size += 40)); do
    mount -t tmpfs -o size=\${size}k none '$tmp/small' || exit 77
    '$mesh_node' run -m $model -p Once -n 1 --record '$tmp/small/F.db' >/dev/null 2>'$tmp/small-err'
    grep -q 'recorded: \|incomplete' '$tmp/small-err' || ls '$tmp/small'
    umount '$tmp/small'
done
END
code=77
if unshare -rm true 2>/dev/null; then
    code=0
    unshare -rm bash "$tmp/small.sh" >"$tmp/small-out" </dev/null || code=$?
fi
what="a trace that a full disk has no room for leaves no files"
case $code in
77) skip "$what" "no small file system can be mounted here" ;;
*) check_equal "$what" "$(cat "$tmp/small-out")" "" ;;
esac

mkdir "$tmp/full"
cat >"$tmp/full.sh" <<END
mount -t tmpfs -o size=4500k none '$tmp/full' || exit 77
'$mesh_node' run -m $model -p 'Once upon a time' --temp 0 --ignore-eos -t 1 -n 300 --digest --local 2 --record '$tmp/full/F.db'
echo \$? >'$tmp/full-code'
sqlite3 '$tmp/full/F.db' 'PRAGMA integrity_check' >'$tmp/full-check'
END
code=77
if unshare -rm true 2>/dev/null; then
    code=0
    unshare -rm bash "$tmp/full.sh" >"$tmp/full-out" 2>"$tmp/full-err" </dev/null || code=$?
fi
case $code in
0)
    generate -n 300 --digest >"$tmp/whole" 2>/dev/null
    check_same "a full disk does not change what is generated" "$tmp/full-out" "$tmp/whole"
    check_contains "a full disk is reported, with the remedy" "$tmp/full-err" "the disk is full: make room"
    check_equal "the exit code says that the recording is incomplete" "$(cat "$tmp/full-code")" 4
    check_contains "missing entries are counted at the end" "$tmp/full-err" "entries are missing"
    check_equal "a trace on a full disk is valid as far as it goes" "$(cat "$tmp/full-check")" ok
    ;;
77) skip "a full disk does not change what is generated" "no small file system can be mounted here (unshare -rm)" ;;
*) not_ok "a full disk does not change what is generated" "$(cat "$tmp/full-err")" ;;
esac
# A serving node on a disk that becomes full and has room again later.
cat >"$tmp/served.sh" <<END
. tests/run/lib.sh
mount -t tmpfs -o size=3m none '$tmp/full' || exit 77
address=127.0.0.1:\$(free_port)
metrics=(--metrics 127.0.0.1:0)
'$mesh_node' serve -m $model --listen 127.0.0.1:0 --metrics 192.0.2.1:1 2>&1 | grep -q 'built without libmicrohttpd' && metrics=()
background '$mesh_node' serve -m $model -t 1 --listen \$address --record '$tmp/full/S.db' --record-prompts "\${metrics[@]}" \
    2>'$tmp/served-log'
node=\$background_pid
ask() { timeout 60 '$mesh_node' ask --to \$address -p 'Once upon a time' --temp 0 --ignore-eos -n 100 --digest; }
status() { '$mesh_node' status --to \$address | grep -c '^trouble: the recording cannot be written: .*the disk is full: make room'; }
told() { # what /health and /metrics say of the recording
    { http_ask '$tmp/served-log' GET /health && http_ask '$tmp/served-log' GET /metrics; } 2>/dev/null |
        grep -oE '^HTTP/1.1 [0-9]*|"troubles":.("the recording cannot be written: )?|^mesh_troubles.trouble="recording". .'
}
events() { '$mesh_node' status --to \$address --telemetry 1 | grep -oE '"happened":1[45],.*"text":"the recording cannot be written'; }
wait_until 20 ask
for _ in {1..400}; do
    ask >'$tmp/served-answer' 2>/dev/null || break
    ! grep -q 'the disk is full: make room' '$tmp/served-log' || break
done
status >'$tmp/served-status'
told >'$tmp/served-told'
mount -o remount,size=60m '$tmp/full'
wait_until 20 grep -q 'can be written again' '$tmp/served-log'
status >>'$tmp/served-status'
told >>'$tmp/served-told'
events >'$tmp/served-events'
kill \$node
wait \$node
echo \$? >'$tmp/served-code'
'$BIN/mesh-replay' verify '$tmp/full/S.db' >'$tmp/served-verify' 2>&1
echo \$? >>'$tmp/served-code'
END
what="a node whose recording's disk is full answers as before"
code=77
if unshare -rm true 2>/dev/null; then
    code=0
    unshare -rm bash "$tmp/served.sh" >"$tmp/full-out" 2>"$tmp/full-err" </dev/null || code=$?
fi
case $code in
0)
    generate -n 100 --digest >"$tmp/whole" 2>/dev/null
    check_same "$what" "$tmp/served-answer" "$tmp/whole"
    check_contains "it says that the disk is full, with the remedy" "$tmp/served-log" "the disk is full: make room"
    check_equal "its status says so, until there is room" "$(tr '\n' ' ' <"$tmp/served-status")" "1 0 "
    if [ -s "$tmp/served-told" ]; then
        printf '%s\n' 'HTTP/1.1 200' '"troubles":["the recording cannot be written: ' \
            'HTTP/1.1 200' 'mesh_troubles{trouble="recording"} 1' 'HTTP/1.1 200' '"troubles":[' \
            'HTTP/1.1 200' 'mesh_troubles{trouble="recording"} 0' >"$tmp/served-expected"
        check_same "so do /health and /metrics" "$tmp/served-told" "$tmp/served-expected"
    else
        skip "so do /health and /metrics" "mesh-node was built without libmicrohttpd"
    fi
    check_equal "watchers are told, also when it is over" "$(grep -oE '"happened":1[45]' "$tmp/served-events" | sort -u)" \
        '"happened":14'$'\n''"happened":15'
    check_contains "when there is room it records again" "$tmp/served-log" "can be written again"
    check_equal "it ends with exit code 0, and what it recorded is the same when run again" "$(tr '\n' ' ' <"$tmp/served-code")" "0 0 "
    ;;
77) skip "$what" "no small file system can be mounted here (unshare -rm)" ;;
*) not_ok "$what" "$(cat "$tmp/full-err")" ;;
esac

cat >"$tmp/fuller.sh" <<END
mount -t tmpfs -o size=\$1 none '$tmp/full' || exit 77
'$mesh_node' run -m $model -p 'Once upon a time' -n 1 --local 3 --record '$tmp/full/F.db'
echo "\$? \$(ls '$tmp/full' | wc -l)"
END
for size in 1m 3m; do # too small for all files, and for all but one
    code=77
    if unshare -rm true 2>/dev/null; then
        code=0
        unshare -rm bash "$tmp/fuller.sh" $size >"$tmp/full-out" 2>"$tmp/full-err" </dev/null || code=$?
    fi
    case $code in
    77) skip "where there is room for $size a run does not begin, and leaves no files" "no small file system can be mounted here" ;;
    *) check_equal "where there is room for $size a run does not begin, and leaves no files" "$(cat "$tmp/full-out")" "4 0" ;;
    esac
done
cp node/models/README.md "$tmp/O.2.db"
check_exit "a file in another node's place is named" 4 "--record $tmp/O.2.db: File exists" generate -n 1 --local 3 --record "$tmp/O.db"
check_same "a file in another node's place stays as it was" node/models/README.md "$tmp/O.2.db"
check_equal "no other trace is left beside it" "$(cd "$tmp" && echo O.*)" "O.2.db"
mkdir "$tmp/read-only"
chmod a-w "$tmp/read-only"
if [ -w "$tmp/read-only" ]; then
    skip "a folder without write permission is named" "root may write everywhere"
else
    check_exit "a folder without write permission is named" 4 "Permission denied" generate -n 1 --record "$tmp/read-only/T.db"
fi
finish
