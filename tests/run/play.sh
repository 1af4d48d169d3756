#!/bin/bash
# mesh-replay run: recorded requests are submitted again to real nodes, or a recording is played to one; differences and exceeded limits are
# reported.
. tests/run/lib.sh
mesh_replay=$BIN/mesh-replay
model=node/models/stories-q8_0.gguf
[ -x "$mesh_replay" ] || skip_all "mesh-replay is not built (libsqlite3-dev, libzstd-dev or libxxhash-dev is missing)"
play() { # TRACE... OPTION...: with real nodes
    TMPDIR=$tmp "$mesh_replay" run "$@" -- "$mesh_node" serve -m "$model" -t 1
}

# Every limit, so wide that nothing exceeds it.
wide=(--max-p99-us 5e6 --min-tok-s 0.01 --max-loss 100 --max-slower 1e6)
check_equal "those are all limits (if not: give the new one here, and judge it in run_judge.c and run_rank_judge.c)" \
    "$(printf '%s\n' "${wide[@]}" | grep -e --m | sort)" "$("$mesh_replay" run --help | grep -oE -e '--(max|min)-[a-z0-9-]+' | sort -u)"
judged() { # OUTPUT: each limit has a case
    for limit in "${wide[@]}"; do
        [[ $limit != --* ]] || grep -q "ok: $limit: " "$1" || echo "$limit"
    done
}

check "two nodes record" "$mesh_node" run -m "$model" -p "Once upon a time" --temp 0.8 --seed 9 --ignore-eos -t 1 -n 16 --local 2 \
    --record "$tmp/T.db"
check_exit "real nodes repeat the recording, within wide limits" 0 "" \
    play "$tmp/T.db" "$tmp/T.1.db" "${wide[@]}" --junit "$tmp/run.xml"
check_equal "each limit of a cluster is judged" "$(judged "$out")" ""
check_contains "each token is the same" "$out" "tokens of request 1: the same: 16"
check_contains "each tile of both nodes is the same" "$out" "tiles that rank 1 sent and received: the same: "
check_contains "nothing is skipped" "$out" "8 passed, 0 failed, 0 skipped"
check_contains "JUnit has the same eight checks" "$tmp/run.xml" 'name="mesh-replay run" tests="8" failures="0"'
check "JUnit has how long a request took" grep -q 'name="tokens of request 1" time="[0-9.]*[1-9]' "$tmp/run.xml"
check_equal "nothing of it is left" "$(find "$tmp" -name "mesh-replay.*" | wc -l)" 0
far=$tmp/$(head -c 80 /dev/zero | tr '\0' f)
mkdir "$far"
check "a TMPDIR with a long name is taken as it is" \
    env TMPDIR="$far" "$mesh_replay" run "$tmp/T.db" --nodes 1 --speed max --keep -- "$mesh_node" serve -m "$model" -t 1
check_equal "a kept folder is in the long TMPDIR" "$(find "$far" -name "mesh-replay.*" | wc -l)" 1
if command -v python3 >/dev/null; then # of nodes that serve, whose ranks are those of their epochs
    rm -r "${far:?}"/*
    TMPDIR=$far "$mesh_replay" run "$tmp/T.db" --nodes 2 --speed max --keep -- "$mesh_node" serve -m "$model" -t 1 >/dev/null 2>&1
    mapfile -t served < <(find "$far" -name "*.db" | sort)
    check "nodes that serve are exported" "$mesh_replay" export "${served[@]}" --perfetto "$tmp/served.json"
    python3 - "$tmp/served.json" >"$tmp/ranks" <<'PY'
import json, sys
events = json.load(open(sys.argv[1]))["traceEvents"]
processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
print(*sorted({processes[e["pid"]] for e in events if e["ph"] == "X"}), sep=", ")
of_one = {tracks[e["pid"], e["tid"]] for e in events if processes[e["pid"]] == "rank 1" and e["ph"] != "M"}
print(*sorted(of_one & {"tiles sent", "tiles from 0"}), sep=", ")
print(min(e["ts"] for e in events if e["ph"] != "M") >= 0)
PY
    check_equal "each serving node is exported as its rank, from the first event on" \
        "$(cat "$tmp/ranks")" $'rank 0, rank 1\ntiles from 0, tiles sent\nTrue'
    "$mesh_replay" export "${served[0]}" --pcap "$tmp/served.pcap"
    check "datagrams of a node's cores are exported in the order of time" python3 -c '
import struct, sys
frames, at, last, count = open(sys.argv[1], "rb").read(), 24, (0, 0), 0
while at < len(frames):
    seconds, ns, size, _ = struct.unpack_from("<4I", frames, at)
    assert (seconds, ns) >= last, (seconds, ns, last)
    at, last, count = at + 16 + size, (seconds, ns), count + 1
assert count == int(sys.argv[2]), count' "$tmp/served.pcap" \
        "$("$mesh_replay" query "${served[0]}" "SELECT count(*) FROM datagrams" | tail -n 1)"
    cp "$tmp/T.1.db" "$tmp/nothing.db"
    python3 - "$tmp/nothing.db" <<'PY'
import sqlite3, sys
trace = sqlite3.connect(sys.argv[1])
for table in "datagrams", "chunks", "tokens", "events", "telemetry_step":
    trace.execute("DELETE FROM " + table)
trace.commit()
PY
    check "a trace is exported beside one in which nothing happened" "$mesh_replay" export "$tmp/T.db" "$tmp/nothing.db" \
        --perfetto "$tmp/half.json"
    check "a trace without events does not move the beginning" python3 -c \
        'import json, sys; sys.exit(min(e["ts"] for e in json.load(open(sys.argv[1]))["traceEvents"] if e["ph"] != "M") > 6e7)' \
        "$tmp/half.json"
else
    skip "nodes that serve are exported" "python3 is not installed"
fi
rm -r "$far"
check_exit "nodes of which none has a model are not waited for" 2 "no model: no node would have one: add -m MODEL.gguf" \
    "$mesh_replay" run "$tmp/T.db" -- "$mesh_node" serve -t 1
printf '[cluster]\n# model = %s\n[node a]\naddress = 127.0.0.1:%s\n' "$model" "$(free_port)" >"$tmp/none.conf"
check_exit "nor where their cluster file names none" 2 "none.conf: the file names no model: no node would have one: add -m MODEL.gguf" \
    "$mesh_replay" run "$tmp/T.db" -- "$mesh_node" serve -t 1 -c "$tmp/none.conf" --node a
sed 's/^# //' "$tmp/none.conf" >"$tmp/one.conf"
check_exit "a cluster file may name it" 0 "" env TMPDIR="$tmp" \
    "$mesh_replay" run "$tmp/T.db" --nodes 1 --speed max -- "$mesh_node" serve -t 1 "-c$tmp/one.conf" --node a
for given in "--listen 127.0.0.1:1" "--record=$tmp/own.db" "--record-size 1"; do
    # shellcheck disable=SC2086 # words of a command
    check_exit "${given%%[ =]*} is not overridden in silence" 2 "run: ${given%%[ =]*} after --: each node is given" \
        "$mesh_replay" run "$tmp/T.db" -- "$mesh_node" serve -m "$model" $given
done
check_exit "nor are the peers of one real node" 2 "run: --peers after --: each node is given" \
    "$mesh_replay" run "$tmp/T.db" --node 1 -- "$mesh_node" run -m "$model" --peers 127.0.0.1:1,127.0.0.1:2
check_exit "the nodes may have a cluster name" 0 "" env TMPDIR="$tmp" \
    "$mesh_replay" run "$tmp/T.db" --nodes 1 --speed max -- "$mesh_node" serve -m "$model" -t 1 --name other
check_exit "an impossible limit is exceeded, and reported as TAP" 1 "" \
    play "$tmp/T.db" --nodes 1 --speed max --tap --min-tok-s 1e8
check_contains "an exceeded limit is a separate TAP test" "$out" "not ok 4 - --min-tok-s"
check_exit "a limit with too few values is skipped, not passed" 0 "" \
    play "$tmp/T.db" --nodes 1 --speed max --json --max-slower 1
check_contains "the reason for a skipped limit is given" "$out" \
    '"name":"--max-slower","verdict":"skip","what":"tile latency: too few to tell; inter-token'
if command -v sqlite3 >/dev/null; then # a recording in which node 1 had tokens within nanoseconds: no node is as fast
    "$mesh_node" run -m "$model" -p Once --temp 0 --ignore-eos -t 1 -n 60 --local 2 --record "$tmp/W.db" >/dev/null 2>&1
    check_exit "no node exceeds a wide limit against its own recording" 0 "" \
        play "$tmp/W.db" "$tmp/W.1.db" --speed max --max-slower 1e6
    check_contains "each node is compared with the recording of its rank" "$out" "; at most 1e+06 % on each of 2 nodes"
    cp "$tmp/W.db" "$tmp/fast.db"
    cp "$tmp/W.1.db" "$tmp/fast.1.db"
    sqlite3 "$tmp/fast.1.db" "UPDATE tokens SET t_ns = position"
    check_exit "node 1 alone exceeds a limit, against the traces on the command line" 1 "" \
        play "$tmp/W.db" "$tmp/fast.1.db" --speed max --max-slower 1e6
    check_contains "the node that exceeds a limit is named" "$out" "NOT OK: --max-slower: node 1: tile latency: "
    check_exit "and so it is if node 1's comes first" 1 "" play "$tmp/fast.1.db" "$tmp/W.db" --speed max --max-slower 1e6 --json
    cp "$out" "$tmp/slower"
    check_contains "node 1 is named" "$tmp/slower" '"name":"--max-slower","verdict":"fail","what":"node 1: tile latency: '
    check "the limit and what exceeds it are numbers" grep -qE \
        '"name":"--max-slower",.*"node":1,"limit_percent":1000000,.*"token_interval_p50_percent":[0-9]' "$tmp/slower"
    check_contains "timing is compared with the recording of rank 0" "$tmp/slower" "\"name\":\"timing against $tmp/W.db\""
    check_exit "node 1 alone exceeds a limit, against the recording beside the baseline" 1 "" \
        play "$tmp/W.db" --speed max --max-slower 1e6 --baseline "$tmp/fast.db"
    check_contains "the node that exceeds a limit is named" "$out" "NOT OK: --max-slower: node 1: tile latency: "
    check_exit "a node whose recording is not there is left out" 0 "" play "$tmp/W.db" --speed max --max-slower 1e6
    check_contains "it is said how many nodes were left out" "$out" " on 1 of 2 nodes, as the others have no recording to compare with"
fi

# Faulty nodes: `serve` runs the given command, everything else mesh-node.
bad_node() { # NAME COMMAND
    printf '#!/bin/bash\nif [ "$1" != serve ]; then exec "%s" "$@"; fi\n%s\n' "$mesh_node" "$2" >"$tmp/$1"
    chmod +x "$tmp/$1"
}
bad() { # NAME OPTION...
    TMPDIR=$tmp "$mesh_replay" run "$tmp/T.db" "${@:2}" -- "$tmp/$1" serve -m "$model" -t 1
}
bad_node mute 'exit 3'
check_exit "a node that ends without a message is reported" 3 "node 0 has ended with exit code 3, without a message: " bad mute --nodes 1
bad_node shot 'kill -9 $$'
check_exit "a node that a signal ends is reported" 4 "node 0 was ended by signal 9, without a message" bad shot --nodes 1
bad_node deaf 'exec sleep 60'
background env TMPDIR="$tmp" "$mesh_replay" run "$tmp/T.db" --nodes 2 -- "$tmp/deaf" serve -m "$model"
wait_until 10 eval 'ls "$tmp"/mesh-replay.*/0.status'
kill "$background_pid"
wait "$background_pid"
check_equal "a signal ends mesh-replay run and its nodes, and no files are left" "$? $(find "$tmp" -name "mesh-replay.*" | wc -l)" "143 0"
check_exit "nodes that form no cluster are waited for as long as --wait says, however long their answers take" 4 \
    "2 nodes have not become a cluster within 1 s" bad deaf --nodes 2 --wait 1
bad_node crash "\"$mesh_node\" \"\$@\" & node=\$!
trap 'kill -TERM \$node; wait \$node; kill -SEGV \$\$' TERM
wait \$node; wait \$node"
check_exit "a node that crashes when it is told to end is no success" 4 "node 0 was ended by signal 11; its last message: recorded: " \
    bad crash --nodes 1 --speed max
# A trace whose end does not fit on the disk keeps its -wal.
bad_node full "\"$mesh_node\" \"\$@\" & node=\$!
trap 'kill -TERM \$node; wait \$node; for word; do case \$word in *.db) touch \"\$word-wal\" ;; esac; done; exit 0' TERM
wait \$node; wait \$node"
check_exit "an incomplete recording of a node is an error, not a difference" 4 "node 0 could not record all of this run: make room in " \
    bad full --nodes 1 --speed max
check_equal "nothing of them is left" "$(find "$tmp" -name "mesh-replay.*" | wc -l)" 0
if unshare -m mount --bind /dev/null /bin/rm 2>/dev/null; then
    # shellcheck disable=SC2016 # for the inner shell
    background unshare -m sh -c 'mount --bind /dev/null /bin/rm && exec "$@"' sh \
        env TMPDIR="$tmp" "$mesh_replay" run "$tmp/T.db" --nodes 2 -- "$tmp/deaf" serve -m "$model"
    wait_until 10 eval 'ls "$tmp"/mesh-replay.*/0.status'
    kill "$background_pid"
    wait "$background_pid"
    check_equal "a signal makes mesh-replay remove its folder without other programs" \
        "$? $(find "$tmp" -name "mesh-replay.*" | wc -l)" "143 0"
else
    skip "a signal makes mesh-replay remove its folder without other programs" "this user may not mount"
fi

check_exit "a trace named twice is refused" 2 "name each trace once" play "$tmp/T.db" "$tmp/T.1.db" "$tmp/./T.db"
if command -v sqlite3 >/dev/null; then
    for file in T.db T.1.db; do # as of nodes that serve, which draw ids
        cp "$tmp/$file" "$tmp/killed-$file"
        sqlite3 "$tmp/killed-$file" "UPDATE requests SET request = 1 << 40; UPDATE tokens SET request = 1 << 40"
    done
    sqlite3 "$tmp/killed-T.db" "DELETE FROM tokens WHERE position > 2"
    check "a request of a node that was killed has an answer" play "$tmp/killed-T.db" "$tmp/killed-T.1.db" --nodes 1 --speed max
    check_contains "its answer is found in the trace of another node" "$out" "ok: tokens of request 1: the same: 16"
    # A recording in three files: an answer goes on in the second, and of the third the recorder had only made the tables.
    for file in files.db files-2.db files-3.db; do
        cp "$tmp/T.db" "$tmp/$file"
        sqlite3 "$tmp/$file" "UPDATE requests SET request = 1 << 40; UPDATE tokens SET request = 1 << 40"
    done
    sqlite3 "$tmp/files.db" "DELETE FROM tokens WHERE position > 4; UPDATE meta SET value = 'continued' WHERE key = 'end';
        INSERT INTO meta VALUES('end_next', 'files-2.db')"
    sqlite3 "$tmp/files-2.db" "DELETE FROM tokens WHERE position <= 4; DELETE FROM requests; DELETE FROM chunks;
        UPDATE meta SET value = 'continued' WHERE key = 'end'; INSERT INTO meta VALUES('end_next', 'files-3.db')"
    for table in $(sqlite3 "$tmp/files-3.db" "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"); do
        sqlite3 "$tmp/files-3.db" "DELETE FROM $table"
    done
    sqlite3 "$tmp/files-3.db" "INSERT INTO meta VALUES('end', 'open')"
    check "a recording in several files is repeated" play "$tmp/files-3.db" "$tmp/files-2.db" "$tmp/files.db" --nodes 1 --speed max
    check_contains "an answer is compared with all files that have some of it" "$out" "ok: tokens of request 1: the same: 16"
    check_equal "no file is said to be missing" "$(grep -c 'is not named' "$err")" 0
    # A change of members in the middle of an answer: the steps of the second epoch count anew.
    cp "$tmp/T.db" "$tmp/epochs.db"
    sqlite3 "$tmp/epochs.db" "INSERT INTO epochs(node, t_ns, epoch, rank, members)
        SELECT 1, (SELECT t_ns FROM tokens WHERE position = 8), 2, rank, members FROM epochs"
    check "an answer of two epochs is repeated" play "$tmp/epochs.db" "$tmp/T.1.db" --speed max
    check_contains "its tiles are recomputed" "$out" "ok: tiles of this run, recomputed: the same bits: "
    check_equal "tiles of steps that are not the same steps are not compared" "$(grep -c 'tiles that rank' "$out")" 0
    # A request whose prompt is in a trace that is not named took steps, too.
    cp "$tmp/T.db" "$tmp/others.db"
    sqlite3 "$tmp/others.db" "INSERT INTO tokens
        SELECT 1000 + id, node, t_ns - 5000000000, 2, position, step, token, logits_hash FROM tokens"
    check "a request beside one of another node's client is repeated" play "$tmp/others.db" "$tmp/T.1.db" --speed max
    check_contains "its tiles are recomputed, too" "$out" "ok: tiles of this run, recomputed: the same bits: "
    check_exit "a file in which nothing was recorded has no request" 77 "no request with a prompt" play "$tmp/files-3.db" --nodes 1
    cp "$tmp/T.db" "$tmp/twice.db"
    sqlite3 "$tmp/twice.db" "
        INSERT INTO requests
            SELECT 100 + id, node, t_ns + 5000000000, 2, kind, prompt_tokens, tokens, options, prompt, reason FROM requests;
        INSERT INTO tokens SELECT 1000 + id, node, t_ns + 5000000000, 2, position, step, token, logits_hash FROM tokens"
    # Between the two requests the second node is paused until the first one has gone on without it.
    bad_node still 'case $* in *1.db*) exec 2> >(
        while read -r line; do
            echo "$line" >&2
            case $line in *": 2 members"*) [ -e "$0.was" ] || { : >"$0.was"; kill -STOP $$; sleep 3; kill -CONT $$; } ;; esac
        done) ;; esac
exec "'"$mesh_node"'" "$@"'
    check "nodes that lose one another are reported" \
        env TMPDIR="$tmp" "$mesh_replay" run "$tmp/twice.db" --nodes 2 -- "$tmp/still" serve -m "$model" -t 1
    check_contains "the loss of nodes is given as the reason why times differ" "$out" "skipped: nodes: membership changed: "
    sqlite3 "$tmp/T.1.db" "UPDATE meta SET value = 'none' WHERE key = 'payloads'"
    check_exit "requests of a recording without payloads are not repeated" 77 "--record-prompts" play "$tmp/T.1.db"
    sqlite3 "$tmp/T.db" "UPDATE tokens SET token = token + 1 WHERE position = 7; UPDATE requests SET prompt = x'01000000ffffff00'"
    check_exit "a prompt that this model cannot take is refused by the node" 1 "" play "$tmp/T.db" --nodes 1 --json
    check_contains "the node's reason is repeated" "$out" '"what":"not answered: '
fi
check_exit "a misspelt limit is an error" 2 "did you mean --max-p99-us" play "$tmp/T.db" --max-p99 5
check_exit "an impossible speed is an error" 2 "give a factor such as" play "$tmp/T.db" --speed fast
check_exit "a replay without nodes is an error" 2 "say how after --" "$mesh_replay" run "$tmp/T.db"
check_exit "a node that cannot start says why" 3 "node 0 has ended: mesh-node: README.md: " \
    "$mesh_replay" run "$tmp/T.db" --nodes 1 -- "$mesh_node" serve -m README.md
check_exit "a trace that is missing is named" 4 "No such file" play "$tmp/none.db"

# One real node; the others are played.
lone() { # OPTION... -- COMMAND...: with the recordings of three
    TMPDIR=$tmp "$mesh_replay" run "$tmp/R.db" "$tmp/R.1.db" "$tmp/R.2.db" "$@"
}
check "three nodes record, with loss" "$mesh_node" run -m "$model" -p "Once upon a time" --temp 0.8 --seed 9 --ignore-eos -t 1 -n 20 \
    --local 3 --shares 3,2,4 --lab loss=1%,seed=3 --record "$tmp/R.db"
check_exit "a real node among played ranks sends the same bits" 0 "" \
    lone --node 1 --junit "$tmp/rank.xml" -- "$mesh_node" run -m "$model" -t 1
check_contains "every block of the real node has the recorded bits" "$out" "ok: tiles that rank 1 sent: the same bits: "
check_contains "the recording has the data of every block" "$out" "blocks; 0 that the recording has no data of"
check_contains "the real node samples the same tokens" "$out" "ok: tokens that rank 1 sampled: the same: 20"
check_contains "JUnit has the four checks of a real node" "$tmp/rank.xml" 'tests="4" failures="0"'
check "JUnit has how long the played ranks took" grep -q 'name="all that was recorded" time="[0-9.]*[1-9]' "$tmp/rank.xml"
check_exit "another node with another kernel, at full speed, sends the same bits, within wide limits" 0 "" \
    lone --node 2 --speed max --json "${wide[@]}" -- "$mesh_node" run -m "$model" -t 1 --kernel scalar
check_contains "JSON counts the played ranks" "$out" '"rank":2,"played":2,'
check_contains "no check of that node fails or is skipped" "$out" '"different":0,"missing":0,"passed":8,"failed":0,"skipped":0'

if command -v sqlite3 >/dev/null; then # a host whose wall clock is an hour ahead
    mkdir "$tmp/far" && cp "$tmp/R.db" "$tmp/R.1.db" "$tmp/R.2.db" "$tmp/far/"
    sqlite3 "$tmp/far/R.2.db" "UPDATE meta SET value = value + 3600000000000 WHERE key = 'begun_unix_ns';
        UPDATE reports SET unix_ms = unix_ms + 3600000"
    check "a host with a wrong wall clock is played at the right time" \
        "$mesh_replay" run "$tmp/far/R.db" "$tmp/far/R.1.db" "$tmp/far/R.2.db" --node 1 --wait 20 -- "$mesh_node" run -m "$model" -t 1
    for form in "" far/; do
        "$mesh_replay" export "$tmp/${form}R.db" "$tmp/${form}R.1.db" "$tmp/${form}R.2.db" --perfetto "$tmp/$(basename "x$form").json"
    done
    check_same "nor does it move in Perfetto" "$tmp/xfar.json" "$tmp/x.json"
    sqlite3 "$tmp/far/R.2.db" "UPDATE telemetry_link SET rtt_ns_min = 0"
    sqlite3 "$tmp/far/R.1.db" "UPDATE telemetry_link SET rtt_ns_min = 0"
    sqlite3 "$tmp/far/R.db" "UPDATE telemetry_link SET rtt_ns_min = 0 WHERE peer = 2"
    check_exit "that nobody measured its clock is said" 0 "R.2.db: related to $tmp/far/R.db by their wall clocks" \
        "$mesh_replay" export "$tmp/far/R.db" "$tmp/far/R.1.db" "$tmp/far/R.2.db" --perfetto "$tmp/wall.json"
    check_equal "and of it alone" "$(wc -l <"$err")" 1
fi
if command -v python3 >/dev/null && command -v sqlite3 >/dev/null && unshare -T --monotonic 1000 true 2>/dev/null; then
    ports=$(free_port),$(free_port)
    booted() { # RANK [COMMAND...]
        "${@:2}" "$mesh_node" run -m "$model" -p Once --temp 0 --ignore-eos -t 1 -n 20 --rank "$1" --record "$tmp/B.db" \
            --peers "127.0.0.1:${ports%,*},127.0.0.1:${ports#*,}" >/dev/null 2>&1
    }
    background booted 1 unshare -T --monotonic 100000
    booted 0
    wait "$background_pid"
    sqlite3 "$tmp/B.db" "UPDATE telemetry_link SET rtt_ns_min = 0, clock_offset_ns = 0" # only rank 1 has measured
    check "two hosts are exported, one of which has measured the other's clock" \
        "$mesh_replay" export "$tmp/B.db" "$tmp/B.1.db" --perfetto "$tmp/B.json"
    python3 - "$tmp/B.json" >"$tmp/arrows" <<'PY'
import json, sys
at = {kind: {} for kind in "sf"}
for e in json.load(open(sys.argv[1]))["traceEvents"]:
    if e["ph"] in at:
        at[e["ph"]][e["id"]] = e["ts"]
under_way = [at["f"][i] - at["s"][i] for i in at["f"] if i in at["s"]]
print(len(under_way) > 100, max(abs(us) for us in under_way) < 5e10) # of a difference of 1e11
PY
    check_equal "no tile is under way for as long as their clocks differ" "$(cat "$tmp/arrows")" "True True"
else
    skip "no tile is under way for as long as their clocks differ" "sqlite3, python3 or a time namespace is missing"
fi
check_exit "a real rank 0 gets the recorded requests" 0 "" lone --node 0 "${wide[@]}" -- "$mesh_node" run -m "$model" -t 1
check_equal "each limit of a real node is judged" "$(judged "$out")" ""
check_contains "a real rank 0 plans the same steps" "$out" "ok: steps that rank 0 planned: the same: 22 records"
check_contains "a real rank 0 sends the same bits" "$out" "ok: tiles that rank 0 sent: the same bits: "
check_contains "the recording has the data of every block" "$out" "blocks; 0 that the recording has no data of"
check_contains "the real node samples the same tokens" "$out" "ok: tokens that rank 0 sampled: the same: 20"

# A byte of the first norm's weights, which follow the embedding.
rest=$("$mesh_node" inspect "$model" --json | sed -n 's/.*"event":"tensor".*"bytes":\([0-9]*\).*/\1/p' |
    awk 'NR > 1 { n += $1 } END { print n }')
cp "$model" "$tmp/other.gguf"
printf '\x3f' | dd of="$tmp/other.gguf" bs=1 seek=$(($(stat -c %s "$model") - rest + 4 * 100 + 2)) conv=notrunc status=none
check_exit "one changed weight is a difference" 1 "" lone --node 1 --any-model --speed max -- "$mesh_node" run -m "$tmp/other.gguf" -t 1
check_contains "the place of the first changed block is named" "$out" "blocks differ, the first in step 0, phase 0, token 0, block "
check_exit "one changed weight of a real rank 0 is a difference" 1 "" \
    lone --node 0 --any-model --speed max --json -- "$mesh_node" run -m "$tmp/other.gguf" -t 1
check_contains "the place of the first changed block of rank 0 is named" "$out" \
    "blocks differ, the first in step 0, phase 0, token 0, block "
check_contains "the steps of rank 0 with a changed weight are the same" "$out" '"name":"steps that rank 0 planned","verdict":"pass"'
"$mesh_node" quantize "$model" "$tmp/third.gguf" --type q4_0 >/dev/null
check_exit "with another model the nodes of a cluster differ" 1 "" \
    "$mesh_replay" run "$tmp/R.db" --nodes 1 --speed max -- "$mesh_node" serve -m "$tmp/third.gguf" -t 1
check_contains "it is reported that the model is another one" "$out" "NOT OK: model: another one: recorded with fingerprint "
check_exit "another model is refused by the node, in its words" 4 "give all nodes the same model file" \
    lone --node 1 --speed max -- "$mesh_node" run -m "$tmp/third.gguf" -t 1

printf '#!/bin/sh\nexec "%s" "$@" --pipeline off\n' "$mesh_node" >"$tmp/unlike" # another configuration, as another build may have
chmod +x "$tmp/unlike"
for rank in 0 1; do
    check_exit "a rank $rank of another build is told from one with other options" 4 "the recording is of another build" \
        lone --node $rank --speed max -- "$tmp/unlike" run -m "$model" -t 1
done

printf '#!/bin/sh\nexec sleep 100\n' >"$tmp/dumb"
printf '#!/bin/sh\n(sleep 0.5; kill -9 $$) &\nexec "%s" "$@"\n' "$mesh_node" >"$tmp/short"
chmod +x "$tmp/dumb" "$tmp/short"
check_exit "a silent node is waited for as long as --wait says" 1 "" lone --node 1 --wait 1 -- "$tmp/dumb" run -m "$model"
# For its answer, or for what rank 2 sends after that: as recorded.
check_contains "it is reported what a played rank waited for" "$out" "NOT OK: all that was recorded: rank 0 was still waiting: r"
check_exit "a node that computes for ever is no disk that is full" 1 "" \
    lone --node 1 --wait 1 -- "$mesh_node" run -m "$model" -t 1 --lab pace=1kB/s
check_contains "it is reported what a played rank waited for from it" "$out" \
    " was still waiting: not all came of step 0, phase "
printf '#!/bin/sh\n"%s" "$@"\nexec sleep 100\n' "$mesh_node" >"$tmp/lingering"
chmod +x "$tmp/lingering"
check_exit "a node that does not end is no success" 1 "" lone --node 1 --speed max --wait 1 -- "$tmp/lingering" run -m "$model" -t 1
check_contains "it is reported that it does not end" "$out" "NOT OK: all that was recorded: rank 1 did not end after it"
check_exit "a node that dies is reported" 4 "node 1 was ended by signal 9" lone --node 1 --speed 0.02 -- "$tmp/short" run -m "$model" -t 1
check_equal "nothing of it is left" "$(find "$tmp" -name "mesh-replay.*" | wc -l)" 0
check_exit "options that the recording decides are not given twice" 2 "--ctx 77: recorded with 512: leave it out" \
    lone --node 1 -- "$mesh_node" run -m "$model" --ctx 77
check_exit "rank 0 is asked what was recorded, and nothing else" 2 "-n: rank 0's request is in the recording" \
    lone --node 0 -- "$mesh_node" run -m "$model" -n 5
check_exit "playing to rank 0 needs the recording of rank 0" 2 "no recording of rank 0, which has the prompt" \
    "$mesh_replay" run "$tmp/R.1.db" "$tmp/R.2.db" --node 0 -- "$mesh_node" run -m "$model"
check_exit "a rank that was not recorded is no rank" 2 "the recording has ranks 0 to 2" lone --node 3 -- "$mesh_node" run -m "$model"
check_exit "a played rank must have been recorded" 2 "no recording of rank 0" \
    "$mesh_replay" run "$tmp/R.1.db" --node 1 -- "$mesh_node" run -m "$model"
check_exit "a rank whose recording is not named is not compared with that of another" 0 "" \
    "$mesh_replay" run "$tmp/R.db" "$tmp/R.1.db" --node 2 --speed max --max-slower 0 -- "$mesh_node" run -m "$model" -t 1
check_equal "which is said if there is a limit" "$(grep -e '^ok: timing' -e max-slower "$out")" \
    "skipped: --max-slower: no recording of this rank to compare with"
check_exit "a node of a cluster cannot be played to" 2 "with --node it is mesh-node run that is started" \
    lone --node 1 -- "$mesh_node" serve -m "$model"
if command -v sqlite3 >/dev/null; then
    # Slowly, so that the recording has more than one chunk.
    "$mesh_node" run -m "$model" -p Once --temp 0 --ignore-eos -t 1 -n 12 --local 2 --lab pace=0.02GB/s --record "$tmp/S.db" >/dev/null 2>&1
    sqlite3 "$tmp/S.1.db" "DELETE FROM chunks WHERE id = (SELECT max(id) FROM chunks)"
    check_exit "a recording without its end is not played" 77 "only a whole recording" \
        "$mesh_replay" run "$tmp/S.db" "$tmp/S.1.db" --node 0 -- "$mesh_node" run -m "$model"
    check_exit "a real node can replace the incomplete recording" 0 "" \
        "$mesh_replay" run "$tmp/S.db" "$tmp/S.1.db" --node 1 --speed max -- "$mesh_node" run -m "$model" -t 1
fi
finish
