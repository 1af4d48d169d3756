#!/bin/bash
# Outputs of a serving node hang: its log, its key log, the disk of its recording. The node goes on, and so does its cluster.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
export LC_ALL=C # messages are compared in English
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=$tmp/m.gguf
check "a model is made" "$mesh_node" synth -o "$model" --dim 64 --hidden 160 --layers 2 --heads 4 \
    --kv-heads 2 --vocab 300 --ctx 256 --seed 1
ports=("$(free_port)" "$(free_port)")
# node NUMBER OPTION...
node() {
    local number=$1
    shift
    background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:${ports[number]}" --join "127.0.0.1:${ports[1 - number]}" "$@"
}
ask() { timeout 60 "$mesh_node" ask --to "127.0.0.1:$1" -p abc -n 8 --temp 0; }
is_whole() { timeout 10 "$mesh_node" status --to "127.0.0.1:${ports[1]}" --json | grep -q '"nodes":2,.*"state":"up".*"state":"up"'; }
# full NAME: an open FIFO that is not read, without room for a byte
full() {
    mkfifo "$tmp/$1"
    # shellcheck disable=SC2034 # it is only to be open
    exec {kept_open}<>"$tmp/$1"
    while dd if=/dev/zero of="$tmp/$1" bs=4096 count=1 oflag=nonblock status=none 2>"$tmp/dd"; do :; done
    grep -q "temporarily unavailable" "$tmp/dd"
}

# ---- a log that is not read ----

check "a pipe that nobody reads is full" full log
node 0 2>"$tmp/log"
silent=$background_pid
node 1 2>"$tmp/other"
check "a node whose log is not read becomes a member" wait_until 20 is_whole
check "a node whose log is not read answers" ask "${ports[0]}"
cp "$out" "$tmp/answer"
kill "$silent"
wait "$silent"
check_equal "it ends with exit code 0" $? 0
check "the other node prints that it has left" wait_until 20 grep -q "left: 127.0.0.1:${ports[0]}" "$tmp/other"
# ---- a disk of recordings that hangs ----

disk=$tmp.disk
thaw() { fsfreeze -u "$disk" 2>"$tmp/thaw"; }
trap 'thaw; clean_up; umount "$disk" 2>/dev/null; rmdir "$disk" 2>/dev/null' EXIT
mkdir "$disk"
have_disk() {
    [ "$(id -u)" = 0 ] && command -v fsfreeze && truncate -s 64M "$tmp/disk.img" && mkfs.ext4 -q "$tmp/disk.img" &&
        mount -o loop "$tmp/disk.img" "$disk"
}
if [ -n "$SAN" ] || ! [ -x "$BIN/mesh-replay" ] || ! have_disk >"$tmp/have" 2>&1; then
    skip "a node whose recording's disk hangs answers" "no root, nothing to freeze, or a sanitizer"
    finish
fi
node 0 --record "$disk/T.db" 2>"$tmp/recorded"
recorded=$background_pid
check "a node that records is a member" wait_until 20 is_whole
fsfreeze -f "$disk"
mkfifo "$tmp/silence"
# shellcheck disable=SC2016 # for the inner shell, which waits without a process of its own that would outlive it
background bash -c 'read -rt 60 <>"$1"; exec fsfreeze -u "$2"' bash "$tmp/silence" "$disk"
check "when the recording's disk hangs it answers" ask "${ports[0]}"
check_same "the answer is the same when the recording's disk hangs" "$tmp/answer" "$out"
check "it prints that its recording's disk does not respond" \
    wait_until 20 grep -q "record $disk/T.db: its disk has not responded for [0-9]* s: check it" "$tmp/recorded"
kill "$recorded"
check "a node whose recording's disk hangs leaves in order" \
    wait_until 20 sh -c "[ \$(grep -c 'left: 127.0.0.1:${ports[0]}' '$tmp/other') = 2 ]"
check "it prints that it waits for the disk of its recording" \
    wait_until 20 grep -q "record $disk/T.db: waiting for its disk, until another signal" "$tmp/recorded"
node 0 2>"$tmp/next"
check "another node can use its port meanwhile" wait_until 20 is_whole
kill "$recorded"
check "a second signal ends the wait for the disk" wait_until 20 grep -q "record $disk/T.db: left incomplete" "$tmp/recorded"
thaw
wait "$recorded"
check_equal "it ends with exit code 0" $? 0
finish
