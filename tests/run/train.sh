#!/bin/bash
# `mesh-node train`: the same file for any number of threads, interrupted and resumed or not; a model that runs; bad input refused with a
# message.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

text=$tmp/stories.txt
check "a corpus can be written" "$mesh_node" stories -o "$text" --count 300 --seed 5

# train MODEL OPTION...: a run of a few seconds, also with sanitizers
steps=12
train() {
    local model=$1
    shift
    run timeout -k 5 300 "$mesh_node" train --text "$text" -o "$model" --dim 64 --hidden 96 --layers 2 --heads 4 --kv-heads 2 --vocab 400 \
        --ctx 64 --batch 4 --steps $steps --warmup 3 --every 4 --seed 3 "$@"
}
ended() { if [ "$code" -eq 0 ]; then ok "$1"; else not_ok "$1" "$(show_run)"; fi; }

train "$tmp/one.gguf" -t 1 --log "$tmp/one.csv" --curve "$tmp/one.svg"
ended "one thread trains a model"
check_contains "train prints the held-out loss" "$out" "held out"
for threads in $([ -n "$SAN" ] && echo 2 || echo 2 3); do
    train "$tmp/many.gguf" -t "$threads"
    ended "$threads threads train one, too"
    check_same "$threads threads give the same file" "$tmp/one.gguf" "$tmp/many.gguf"
    check_same "$threads threads give the same checkpoint" "$tmp/one.gguf.ckpt" "$tmp/many.gguf.ckpt"
done
if [ "$ARCH" = x86_64 ] && grep -q avx2 /proc/cpuinfo && [ -z "$SAN" ]; then
    train "$tmp/avx2.gguf" -t 2 --kernel avx2
    check_same "AVX2 gives the same file" "$tmp/one.gguf" "$tmp/avx2.gguf"
fi
if [ -z "$SAN" ]; then
    train "$tmp/scalar.gguf" -t 2 --kernel scalar
    check_same "plain C gives the same file" "$tmp/one.gguf" "$tmp/scalar.gguf"
fi

# ---- results ----

check_equal "the log has a line for every step" "$(wc -l <"$tmp/one.csv")" $((steps + 1))
check_contains "the log has the held-out loss" "$tmp/one.csv" "step,loss,held_out_loss"
check_contains "the curve is a picture" "$tmp/one.svg" "<svg"
check "the file is a model" "$mesh_node" inspect "$tmp/one.gguf"
check_contains "inspect shows what a model was made from" "$out" "made by mesh-node train: seed 3"
check "the trained model runs" "$mesh_node" run -m "$tmp/one.gguf" -p "Once" -n 12 --temp 0.7 --seed 1 --digest
one=$(cat "$out")
check "the trained model runs on three nodes" "$mesh_node" run -m "$tmp/one.gguf" -p "Once" -n 12 --temp 0.7 --seed 1 --digest --local 3
check_equal "three nodes give the same text and digest" "$(cat "$out")" "$one"
first=$(sed -n 2p "$tmp/one.csv" | cut -d, -f2) last=$(tail -n 1 "$tmp/one.csv" | cut -d, -f3)
if awk "BEGIN { exit !($last < $first - 0.3) }"; then
    ok "held-out loss has fallen"
else
    not_ok "held-out loss has fallen" "$first $last"
fi
train "$tmp/all.gguf" --held-out 0 --log "$tmp/all.csv"
ended "nothing need be held out"
check_equal "nothing is evaluated when nothing is held out" \
    "$(tail -n +2 "$tmp/all.csv" | cut -d, -f3 | sort -u) $(grep -c "held out" "$out")" " 0"
train "$tmp/json.gguf" --json
ended "it can tell in JSON"
check_equal "an object per step and a summary" "$(grep -c '"schema_version":1' "$out")" $((steps + 1))

# ---- interrupted and resumed ----

# start MODEL OPTION...: the same in the background; returns when it has written its first checkpoint
start() {
    local model=$1
    shift
    background "$mesh_node" train --text "$text" -o "$model" --dim 64 --hidden 96 --layers 2 --heads 4 --kv-heads 2 --vocab 400 \
        --ctx 64 --batch 4 --warmup 3 --every 1 --seed 3 "$@" 2>"$tmp/background"
    wait_until 60 test -s "$model.ckpt"
}

start "$tmp/half.gguf" --steps 100000 -t 2 >/dev/null
kill -INT "$background_pid"
wait "$background_pid"
check_equal "Ctrl-C ends a run with exit code 4" $? 4
check_contains "an interrupted run prints how to resume" "$tmp/background" "--resume"
train "$tmp/half.gguf" --steps 100000
if [ "$code" -eq 2 ] && grep -q -e "--resume" "$err"; then
    ok "a new run does not overwrite the checkpoint of an interrupted one"
else
    not_ok "a new run does not overwrite the checkpoint of an interrupted one" "$(show_run)"
fi
cp "$text" "$tmp/precious"
check_exit "a file that is no checkpoint is not overwritten" 2 "is no checkpoint" \
    "$mesh_node" train --text "$text" -o "$tmp/x.gguf" --checkpoint "$tmp/precious"
check_same "a file that is no checkpoint stays as it was" "$text" "$tmp/precious"
if [ ! -e "$tmp/half.gguf" ]; then ok "an interrupted run writes no model"; else not_ok "an interrupted run writes no model"; fi

# A run that kill -9 ends after a checkpoint resumes with the same bits.
train "$tmp/cut.gguf" -t 2
cp "$tmp/cut.gguf.ckpt" "$tmp/whole.ckpt"
rm "$tmp/cut.gguf" "$tmp/cut.gguf.ckpt"
start "$tmp/cut.gguf" --steps $steps -t 1 >/dev/null
killed=$background_pid
kill -9 "$killed" 2>/dev/null
wait "$killed" 2>/dev/null
train "$tmp/cut.gguf" -t 2 --resume
ended "a run killed at some step goes on from its checkpoint"
check_same "the model is the one of an undisturbed run" "$tmp/one.gguf" "$tmp/cut.gguf"
check_same "the head of its checkpoint is that of an undisturbed run, too" \
    <(head -c 120 "$tmp/cut.gguf.ckpt") <(head -c 120 "$tmp/whole.ckpt")

# ---- bad input ----

: >"$tmp/empty.txt"
head -c 5000 "$mesh_node" >"$tmp/binary.txt"
printf 'Far too short.\n' >"$tmp/short.txt"
refused() { # SENTENCE CODE TEXT TEXTFILE OPTION...
    local sentence=$1 expected=$2 words=$3 file=$4
    shift 4
    check_exit "$sentence" "$expected" "$words" "$mesh_node" train --text "$file" -o "$tmp/refused.gguf" --dim 64 --hidden 96 --layers 1 \
        --heads 2 --kv-heads 1 --vocab 300 --ctx 64 --batch 1 --steps 2 "$@"
}
refused "an empty text is named" 3 "empty.txt" "$tmp/empty.txt"
refused "a binary text is named" 3 "binary.txt" "$tmp/binary.txt"
refused "a text shorter than the context is named" 3 "fewer than --ctx 64" "$tmp/short.txt"
refused "a missing text is named" 4 "nowhere.txt" "$tmp/nowhere.txt"
refused "a folder is no text" 4 "$tmp" "$tmp"
mkfifo "$tmp/fifo"
refused "a pipe is no text, and is not waited for" 4 "no regular file" "$tmp/fifo"
"$mesh_node" stories -o "$tmp/long.txt" --count 8000 2>/dev/null
worst=0
for delay in 0.02 0.05 0.1 0.2; do
    cp "$tmp/long.txt" "$tmp/cut.txt"
    background "$mesh_node" train --text "$tmp/cut.txt" -o "$tmp/cut.gguf" --dim 32 --hidden 32 --layers 1 --heads 1 --kv-heads 1 \
        --vocab 1500 --ctx 16 --batch 1 --steps 1 -t 1 >"$tmp/background" 2>&1
    sleep $delay
    : >"$tmp/cut.txt"
    code=0
    wait "$background_pid" || code=$?
    [ "$code" -le "$worst" ] || worst=$code
done
if [ "$worst" -le 4 ]; then
    ok "a text that becomes shorter meanwhile ends no run by a signal"
else
    not_ok "a text that becomes shorter meanwhile ends no run by a signal" "code $worst" "$(cat "$tmp/background")"
fi
refused "heads that do not divide are named" 2 "--heads 3" "$text" --heads 3
refused "a vocabulary too small for the bytes is named" 2 "--vocab 100" "$text" --vocab 100
refused "a last learning rate above the highest is named" 2 "--lr-min 0.5" "$text" --lr-min 0.5
refused "a folder that is not there is named before anything is computed" 4 "nowhere" "$text" --steps 100000000 --curve "$tmp/nowhere/c.svg"
refused "a warm-up longer than the run is named" 2 "--warmup 12: the run has 2 steps" "$text" --warmup 12
refused "an unknown type is named" 2 "q9" "$text" --type q9
refused "an unknown kernel is named" 2 "--kernel warp" "$text" --kernel warp
refused "a checkpoint that is not there is named" 4 "refused.gguf.ckpt" "$text" --resume
# Neither the text nor another result is overwritten.
cp "$text" "$tmp/kept.txt" && ln -s "$text" "$tmp/link.txt" && mkdir "$tmp/sub"
while read -r output option file other; do
    check_exit "$option with the file of $other is refused" 2 "is the same file as that of $other" "$mesh_node" train --text "$text" \
        -o "$output" --steps 1 "$option" "$file"
done <<END
$text --seed 1 --text
$tmp/n.gguf --log $text --text
$tmp/n.gguf --curve $tmp/link.txt --text
$tmp/n.gguf --log $tmp/sub/../n.gguf -o
$tmp/n.gguf --log $tmp/n.gguf.ckpt --checkpoint
$tmp/n.gguf --checkpoint $tmp/n.gguf -o
END
check_same "the text is as it was" "$text" "$tmp/kept.txt"
check_exit "without a text it says so" 2 "--text" "$mesh_node" train -o "$tmp/x.gguf"
check_exit "without an output it says so" 2 "-o MODEL.gguf" "$mesh_node" train --text "$text"
refused "a learning rate that is far too high ends with a message" 1 "smaller --lr" "$text" --lr 1 --decay 10 --steps 400 --warmup 0
train "$tmp/one.gguf" --resume --dim 32 --heads 2
if [ "$code" -eq 2 ] && grep -q "has dim 64" "$err"; then
    ok "another run's checkpoint is refused"
else
    not_ok "another run's checkpoint is refused" "$(show_run)"
fi
check_same "another run's checkpoint stays as it was" "$tmp/one.gguf.ckpt" "$tmp/many.gguf.ckpt"

if [ "$(id -u)" -eq 0 ] && mkdir "$tmp/full" && mount -t tmpfs -o size=1200k tmpfs "$tmp/full" 2>/dev/null; then
    cp "$tmp/one.gguf.ckpt" "$tmp/full/m.gguf.ckpt"
    train "$tmp/full/m.gguf" -t 1
    if [ "$code" -eq 4 ] && grep -q "m.gguf.ckpt" "$err"; then
        ok "a full disk is reported"
    else
        not_ok "a full disk is reported" "$(show_run)"
    fi
    check_same "a full disk leaves the earlier checkpoint intact" "$tmp/full/m.gguf.ckpt" "$tmp/one.gguf.ckpt"
    check_equal "a full disk leaves no other file" "$(ls -A "$tmp/full")" m.gguf.ckpt
    umount "$tmp/full"
else
    skip "a full disk is reported" "no right to mount a small one"
fi
finish
