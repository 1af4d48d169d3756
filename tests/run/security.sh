#!/bin/bash
# Sealing changes only the bytes on the wire: digests, keys that only their owner may read, and messages when something is missing.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

key_line='^mesh-key-1 [0-9a-f]{64}$'
umask 022

# ---- keygen ----

check "keygen prints a key" "$mesh_node" keygen
check_equal "a key is one line" "$(grep -cE "$key_line" "$out")/$(wc -l <"$out")" 1/1
cp "$out" "$tmp/keys"
for _ in 1 2 3 4; do "$mesh_node" keygen; done >>"$tmp/keys"
check_equal "keygen never prints a key twice" "$(sort -u "$tmp/keys" | wc -l)" 5
check "keygen -o writes a file" "$mesh_node" keygen -o "$tmp/key"
check_equal "keygen -o prints nothing" "$(cat "$out" "$err")" ""
check_equal "the file is a key" "$(grep -cE "$key_line" "$tmp/key")/$(wc -l <"$tmp/key")" 1/1
check_equal "only its owner may read it" "$(stat -c %a "$tmp/key")" 600
cp "$tmp/key" "$tmp/copy"
check_exit "an existing file is refused" 4 "$tmp/key: cannot be made: File exists: a key is not replaced: " \
    "$mesh_node" keygen -o "$tmp/key"
check_same "an existing key file stays as it was" "$tmp/key" "$tmp/copy"
check_exit "a folder that is not there is named" 4 "$tmp/none/key: cannot be made: No such file or directory: " \
    "$mesh_node" keygen -o "$tmp/none/key"
check_exit "an empty name is refused" 2 "keygen -o: " "$mesh_node" keygen -o ""
check_exit "keygen takes no words" 2 "extra" "$mesh_node" keygen extra
if [ -e /dev/full ]; then
    check_exit "a key that cannot be printed is an error" 4 "stdout: " sh -c "exec '$mesh_node' keygen >/dev/full"
fi

# ---- runs ----

model=$tmp/m.gguf
check "a model can be made" \
    "$mesh_node" synth -o "$model" --dim 64 --hidden 160 --layers 2 --heads 8 --kv-heads 4 --vocab 300 --ctx 160 --seed 3
generate() { # OPTION...
    run timeout -k 5 60 "$mesh_node" run -m "$model" -p "abc def" -n 12 --seed 3 --ignore-eos --digest "$@"
}
peers=127.0.0.1:$(free_port),127.0.0.1:$(free_port)

refused() { # SENTENCE CODE TEXT OPTION...
    local sentence=$1 expected=$2 text=$3
    shift 3
    check_exit "$sentence" "$expected" "$text" "$mesh_node" run -m "$model" -p abc -n 2 --seed 1 "$@"
}
refused "an unknown --security mode is refused" 2 "none, auth, seal" --local 2 --security strong
refused "nodes that are started one by one cannot be sealed, without a common key" \
    2 "--security seal: nodes that are started one by one with --peers" \
    --peers "$peers" --security seal
refused "there is nothing to log without security" 2 "--key-log $tmp/log: " --local 2 --security none --key-log "$tmp/log"

generate --local 1 -t 1
reference=$(grep '^digest ' "$out")
check_equal "one node gives a digest" "$(grep -cE '^digest tokens=12 ' <<<"$reference")" 1
same() { # OPTION...
    generate "$@"
    if [ "$code" -eq 0 ] && [ "$(grep '^digest ' "$out")" = "$reference" ]; then
        ok "the same digest with $*"
    else
        not_ok "the same digest with $*" "expected: $reference" "$(show_run)"
    fi
}
for n in 2 3; do
    same --local $n
    same --local $n --security none
done
same --local 3 --security none --lab loss=5%,dup=2%,reorder=5%,delay=200us,seed=3

if ! "$mesh_node" run -m "$model" -p a -n 1 --seed 1 --local 2 --security seal >/dev/null 2>"$err"; then
    check_contains "without libsodium sealing is refused in words" "$err" \
        "--security seal: this mesh-node was built without libsodium: install it and build again, or give --security none"
    refused "authentication is refused without libsodium" 4 "--security auth: this mesh-node was built without libsodium" \
        --local 2 --security auth
    generate --json --local 2
    check_contains "without libsodium the summary says that nothing protects a run" "$out" '"security":"none"'
    finish
fi

for way in auth seal; do
    for n in 1 2 3 5; do same --local $n --security $way; done
    same --local 3 --security $way --lab loss=5%,dup=2%,reorder=5%,delay=200us,seed=3
    same --local 2 --security $way --shares 3,1 -t 2 --batch 3
    generate --json --local 2 --security $way
    check_contains "the summary says $way" "$out" "\"security\":\"$way\""
done
generate --json --local 2
check_contains "runs are sealed by default" "$out" '"security":"seal"'
if grep -qw aes /proc/cpuinfo && ldd "$mesh_node" | grep -qE 'libgcrypt|libIPSec_MB'; then
    check_contains "runs are sealed with AES where the processor has it" "$out" '"cipher":"aes-256-gcm"'
else
    skip "runs are sealed with AES where the processor has it" "it has not, or built without a library for it"
fi
for way in auth seal; do same --local 3 --security $way --cipher chacha20; done
generate --json --local 2 --cipher chacha20
check_contains "--cipher chacha20 seals without AES" "$out" '"cipher":"chacha20-poly1305"'
sentence="FIPS mode, in which libgcrypt takes no nonce of the caller's, seals without AES"
if ldd "$mesh_node" | grep -q libIPSec_MB; then
    skip "$sentence" "another library does it"
else
    LIBGCRYPT_FORCE_FIPS_MODE=1 generate --json --local 2
    check_contains "$sentence" "$out" '"cipher":"chacha20-poly1305"'
fi
refused "there is no other cipher" 2 "auto, chacha20" --local 2 --cipher des

# ---- key log ----

log=$tmp/log
log_line='^MESH_EPOCH [0-9a-f]{32} [0-2] [0-9a-f]{64}$'
same --local 3 --key-log "$log"
check_equal "the key log has a line per rank" "$(grep -cE "$log_line" "$log")/$(wc -l <"$log")" 3/3
check_equal "only its owner may read it" "$(stat -c %a "$log")" 600
check_equal "each rank has a key of its own" "$(cut -d' ' -f4 "$log" | sort -u | wc -l)" 3
MESH_KEYLOGFILE=$log same --local 3 --security auth
check_equal "the next run appends its keys to the log" "$(wc -l <"$log"), $(cut -d' ' -f2 "$log" | sort -u | wc -l) epochs" "6, 2 epochs"
check_equal "no key is in the log twice" "$(cut -d' ' -f4 "$log" | sort -u | wc -l)" 6
MESH_KEYLOGFILE='' same --local 2
chmod 644 "$log"
refused "a key log that others may read is refused" 3 "$log: others than its owner may use this file (mode 0644): type chmod 600" \
    --local 2 --key-log "$log"
check_equal "nothing is written to a refused key log" "$(wc -l <"$log")" 6
refused "a key log that cannot be made is named" 4 "$tmp/none/log: cannot be opened: " --local 2 --key-log "$tmp/none/log"

# ---- of nodes that serve ----

serve() { # OPTION...: on a port of its own
    "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$port" "$@"
}
port=$(free_port)
check "a key for serving nodes can be made" "$mesh_node" keygen -o "$tmp/serve.key"
check_exit "a serving node refuses a log that others may read" 3 "--key-log $log: others than its owner" \
    serve --key "$tmp/serve.key" --key-log "$log"
check_exit "a serving node refuses a log that cannot be created" 4 "--key-log $tmp/none/log: cannot be opened: " \
    serve --key "$tmp/serve.key" --key-log "$tmp/none/log"
check_exit "without a key there is nothing to log" 2 "without a key there is nothing to log" serve --key-log "$log"
rm -f "$log"
first=$port
background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$first" --key "$tmp/serve.key" --key-log "$log" 2>"$tmp/first"
port=$(free_port)
MESH_KEYLOGFILE=$log.2 background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$port" --key "$tmp/serve.key" \
    --join "127.0.0.1:$first" 2>"$tmp/second"
wait_until 20 grep -q "^MESH_EPOCH .* 1 " "$log"
check "a client is answered" "$mesh_node" ask --to "127.0.0.1:$first" --key "$tmp/serve.key" -p abc -n 3 --temp 0
check_contains "a node that logs keys warns of it" "$tmp/first" "WARNING: keys are written to $log: whoever reads that file"
check_equal "the log has keys of epochs, processes and sessions, and nothing else" \
    "$(sort "$log" | sed -E 's/[0-9a-f]{32,64}/x/g' | sort -u | tr '\n' ';')" \
    "MESH_EPOCH x 0 x;MESH_EPOCH x 1 x;MESH_PROCESS x x;MESH_SESSION x x x;"
check_equal "only its owner may read it" "$(stat -c %a "$log")" 600
wait_until 20 grep -q "^MESH_EPOCH" "$log.2"
check_equal "both nodes log the same keys of their epoch" "$(grep ^MESH_EPOCH "$log")" "$(grep ^MESH_EPOCH "$log.2")"
background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$(free_port)" --key "$tmp/key" --join "127.0.0.1:$first" 2>"$tmp/other"
check "a node with another key reports that no peer answers" wait_until 20 grep -q \
    "no node answers where this node asks for others, .* the same key, --name and --security, and no firewall" "$tmp/other"
check_equal "nodes with the right key do not report this" "$(cat "$tmp/first" "$tmp/second" | grep -c "no node answers")" 0

# ---- members with and without AES ----

ports=("$(free_port)" "$(free_port)" "$(free_port)")
# member NUMBER OPTION...; its id in pids[NUMBER]
member() {
    local number=$1
    shift
    background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:${ports[number]}" --key "$tmp/serve.key" --name mixed \
        --join "127.0.0.1:${ports[(number + 1) % 3]}" --join "127.0.0.1:${ports[(number + 2) % 3]}" "$@" 2>>"$tmp/mixed$number"
    pids[number]=$background_pid
}
state() { timeout 10 "$mesh_node" status --to "127.0.0.1:${ports[0]}" --key "$tmp/serve.key" --name mixed --json; }
# uses COUNT CIPHER: node 0 has that many members and this cipher
uses() { state | grep -q "\"nodes\":$1,.*\"cipher\":\"$2\""; }
# answers SENTENCE COMMAND...: an answer has the digest of one node alone, although the command runs while tokens are generated
answers() {
    local sentence=$1 asked
    shift
    timeout 60 "$mesh_node" ask --to "127.0.0.1:${ports[0]}" --key "$tmp/serve.key" --name mixed -p "abc def" -n 120 --seed 3 --ignore-eos \
        --digest >"$tmp/mixed" 2>&1 &
    asked=$!
    "$@"
    wait "$asked"
    check_equal "$sentence" "$(grep '^digest ' "$tmp/mixed")" "$alone"
}
alone=$("$mesh_node" run -m "$model" -p "abc def" -n 120 --seed 3 --ignore-eos --digest --local 1 -t 1 2>"$tmp/err" | grep '^digest ')
fast=chacha20-poly1305
if grep -qw aes /proc/cpuinfo && ldd "$mesh_node" | grep -qE 'libgcrypt|libIPSec_MB'; then fast=aes-256-gcm; fi
pids=()
member 0
member 1
check "two members use AES where the processor has it" wait_until 20 uses 2 $fast
answers "when one joins without it, bits stay the same" member 2 --cipher chacha20
check "after a member without AES joins, none uses it" wait_until 20 uses 3 chacha20-poly1305
answers "when that one is killed, too" kill -9 "${pids[2]}"
check "after that member leaves, the others use AES again" wait_until 20 uses 2 $fast
member 2 --cipher chacha20
check "after it returns, none uses AES" wait_until 20 uses 3 chacha20-poly1305
answers "when it leaves, bits stay the same" kill "${pids[2]}"
check "after its death the others use AES once more" wait_until 20 uses 2 $fast
kill -9 "${pids[1]}"
wait "${pids[1]}" # on a busy machine it may still have its port
member 1 --cipher chacha20
member 2
check "one of three members without AES is enough, whichever it is" wait_until 20 uses 3 chacha20-poly1305
answers "with one member without AES bits stay the same" true
answers "when one that has it dies" kill -9 "${pids[2]}"
check "of two remaining members one has no AES" wait_until 20 uses 2 chacha20-poly1305
check_equal "no datagram failed authentication" "$(state | grep -o '"tag":[0-9]*' | sort -u)" '"tag":0'
finish
