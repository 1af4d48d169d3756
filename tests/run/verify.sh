#!/bin/bash
# Recordings of three nodes over a lossy network give the same when run again; so does tests/traces/lossy.db, a recording that is kept and
# that tests/tools/record-lossy made.
# Runs beside others.
. tests/run/lib.sh
mesh_node=$BIN/mesh-node
mesh_replay=$BIN/mesh-replay
mesh_dissect=$BIN/mesh-dissect
model=node/models/stories-q8_0.gguf
[ -x "$mesh_replay" ] || skip_all "mesh-replay is not built (libsqlite3-dev, libzstd-dev or libxxhash-dev is missing)"

run "$mesh_replay" verify tests/traces/lossy.db
check_contains "the kept recording gives the same when run again" "$out" "1 the same, 0 different, 0 cut short, 0 skipped"
check_exit "the kept recording is recomputed to the same bits" 0 "" "$mesh_replay" verify tests/traces/lossy.db -m $model --tap
check_contains "the recomputation is a separate TAP test" "$out" "# the same: 6 steps, 306 tiles, 1188 blocks, 6 tokens"
deep=$tmp/$(printf 'recordings/%.0s' {1..12})
mkdir -p "$deep"
cp tests/traces/lossy.db "$deep/a.db"
cp tests/traces/lossy.db "$deep/b.db"
run "$mesh_replay" verify "$deep/a.db" "$deep/b.db" --tap
check_equal "cases of files far down have names of their own" "$(grep '^ok' "$out" | sed 's/^ok [0-9]* - //' | sort -u | wc -l)" 2
check_contains "which end with the file and the core" "$out" "/a.db, epoch "
files=("$tmp/T.db" "$tmp/T.1.db" "$tmp/T.2.db")
check "three nodes record" "$mesh_node" run -m $model -p "Once upon a time" --temp 0 --ignore-eos -t 1 -n 20 --local 3 \
    --lab loss=1%,seed=3 --record "$tmp/T.db" --digest
run "$mesh_replay" verify "${files[@]}" --junit "$tmp/verify.xml"
check_equal "verify finds no difference" "$code" 0
check_contains "all cores are the same" "$out" "3 the same, 0 different, 0 cut short, 0 skipped"
check_contains "data was compared, and none was missing" "$out" ", of 0 not recorded"
check_contains "JUnit has a case for each" "$tmp/verify.xml" 'tests="3" failures="0" skipped="0"'
if command -v sqlite3 >/dev/null; then # an answer of a node alone that goes on in the next file
    "$mesh_node" run -m $model -p Once --temp 0 --ignore-eos -t 1 -n 20 --record "$tmp/A.db" >/dev/null 2>&1
    sqlite3 "$tmp/A.db" "DROP TABLE checks; DELETE FROM meta WHERE key LIKE 'end%'"
    cp "$tmp/A.db" "$tmp/A-2.db"
    sqlite3 "$tmp/A.db" "DELETE FROM tokens WHERE position > 7"
    sqlite3 "$tmp/A-2.db" "DELETE FROM tokens WHERE position <= 7; DELETE FROM requests"
    check "an answer in two files is recomputed" "$mesh_replay" verify "$tmp/A-2.db" "$tmp/A.db" -m $model
    check_contains "all of it" "$out" "1 request, 20 tokens, "
    check_contains "and no token is left out" "$out" "; 0 recorded tokens were not compared"
fi
# Calls of other recordings have the same numbers.
check "two nodes record more" "$mesh_node" run -m $model -p "Once upon a time" --temp 0 --ignore-eos -t 1 -n 150 --local 2 \
    --record "$tmp/M.db"
check "several recordings are recomputed" "$mesh_replay" verify "${files[@]}" "$tmp/M.db" "$tmp/M.1.db" -m $model
check_equal "none lacks the calls of another" "$(grep -c 'calls that were not recorded' "$out")" 0
run "$mesh_replay" verify "${files[@]}" --tap
check_equal "TAP, too" "$(grep -c '^ok' "$out")" 3
run "$mesh_replay" verify "${files[@]}" --json
check_contains "JSON ends with a summary" "$out" '"event":"summary","cores":3,"same":3,"different":0'
run "$mesh_replay" verify "${files[@]}" -m $model
check_contains "all computed is the same" "$out" "computed: 1 the same, 0 different, 0 skipped; 0 recorded tokens were not compared"
check_contains "one recomputation covers the steps of all three nodes" "$out" "20 steps"
check "one node's trace is enough for all ranks" "$mesh_replay" verify "$tmp/T.2.db" -m $model
check "a node alone records tokens that are sampled again" "$mesh_node" run -m $model -p "Once upon" --temp 0.9 --seed 5 --ignore-eos -t 1 \
    -n 10 --digest --record "$tmp/S.db"
run "$mesh_replay" verify "$tmp/S.db" -m $model
check_contains "verify reports the tokens sampled again" "$out" "sampled again, $tmp/S.db: the same: 1 request, 10 tokens"
for arch in qwen2 qwen3; do
    "$mesh_node" synth -o "$tmp/$arch.gguf" --arch $arch --dim 64 --hidden 160 --layers 2 --heads 8 --kv-heads 4 --vocab 300 --ctx 64
    check "three nodes record an answer of $arch" "$mesh_node" run -m "$tmp/$arch.gguf" -p Once --temp 0 --ignore-eos -t 1 -n 10 --local 3 \
        --lab loss=1%,seed=3 --record "$tmp/$arch.db"
    run "$mesh_replay" verify "$tmp/$arch".db "$tmp/$arch".[12].db -m "$tmp/$arch.gguf"
    check_equal "$arch is computed again" "$code" 0
    check_contains "to the same bits, $arch" "$out" "computed: 1 the same, 0 different, 0 skipped; 0 recorded tokens were not compared"
done
if command -v python3 >/dev/null; then
    python3 - "$tmp/T.db" "$tmp/flipped.db" <<'PY'
import shutil, sqlite3, sys
shutil.copyfile(sys.argv[1], sys.argv[2])
db = sqlite3.connect(sys.argv[2])
row, blob = db.execute("SELECT id, records FROM chunks ORDER BY length(records) DESC LIMIT 1").fetchone()
blob = bytearray(blob)
blob[300] ^= 1 # of a tile
db.execute("UPDATE chunks SET records = ? WHERE id = ?", (bytes(blob), row))
db.commit()
PY
    damaged() { check_exit "a bit that flipped on the disk is damage: $1" 3 "flipped.db: chunks, row " "$mesh_replay" "${@:2}"; }
    damaged verify verify "$tmp/flipped.db"
    damaged "verify -m" verify "$tmp/flipped.db" "$tmp/T.1.db" -m $model
    damaged info info "$tmp/flipped.db"
    damaged diff diff "$tmp/T.1.db" "$tmp/flipped.db"
    damaged "export --perfetto" export "$tmp/flipped.db" --perfetto "$tmp/flipped.json"
    damaged "export --pcap" export "$tmp/flipped.db" --pcap "$tmp/flipped.pcap"
    damaged run run "${files[@]:1}" "$tmp/flipped.db" -- "$mesh_node" serve -m $model -t 1
else
    skip "a bit that flipped on the disk is damage" "python3 is not installed"
fi
# shrinks SENTENCE PROGRAM COMMAND...: the command uses $tmp/shrinks.gguf, which is truncated once it is mapped; repeated when all was read
# before that
shrinks() {
    local sentence=$1 program=$2 i
    shift 2
    for ((i = 0; i < 50; i++)); do
        cp $model "$tmp/shrinks.gguf"
        background "$@" >"$out" 2>"$err"
        while grep -qs . "/proc/$background_pid/maps" && ! grep -qs shrinks.gguf "/proc/$background_pid/maps"; do :; done
        truncate -s 4096 "$tmp/shrinks.gguf"
        code=0
        wait "$background_pid" || code=$?
        [ $code -eq 0 ] || break
    done
    check_equal "$sentence" "$code $(tail -n 1 "$err")" \
        "3 $program: $tmp/shrinks.gguf: cannot be read: it has become shorter, or its disk fails: copy it again"
}
shrinks "a model that becomes shorter while it is read is named by mesh-replay" mesh-replay \
    "$mesh_replay" verify "$tmp/T.db" -m "$tmp/shrinks.gguf"
shrinks "and by mesh-node" mesh-node "$mesh_node" run -m "$tmp/shrinks.gguf" -p Once -n 100 --seed 1
check_exit "options for computing need a model" 2 "give -m" "$mesh_replay" verify "$tmp/T.db" --any-model
check_exit "two forms at a time are refused" 2 "choose one" "$mesh_replay" verify "$tmp/T.db" --json --tap
check_exit "a file that is not there is named" 4 "No such file" "$mesh_replay" verify "$tmp/none.db"
"$mesh_node" run -m $model -p Once -n 3 --seed 1 --record "$tmp/alone.db" >/dev/null 2>&1
check_exit "a node that was alone exchanged nothing that could be run again" 77 "nor have runs of one node (give -m)" \
    "$mesh_replay" verify "$tmp/alone.db"
check "what it computed is computed again with the model" "$mesh_replay" verify "$tmp/alone.db" -m $model
[ -x "$mesh_dissect" ] || { finish; exit; }
"$mesh_dissect" -r tests/dissect/messages.pcap --import "$tmp/capture.db"
check_exit "a capture has nothing to be run again" 77 "no calls of protocol cores" "$mesh_replay" verify "$tmp/capture.db"
finish
