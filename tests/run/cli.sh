#!/bin/bash
# Mistyped command lines, failures of the environment, and how the program ends: message, exit code, nothing left behind.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
commands=$("$mesh_node" --help | awk '/^$/ { part++ } part == 2 && NF { print $1 }')

small=$tmp/small.gguf
other=$tmp/other.gguf
wide=$tmp/wide.gguf # a context of 16 million tokens
shape=(--dim 64 --hidden 96 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --type q8_0)
check "a model can be made" "$mesh_node" synth -o "$small" "${shape[@]}" --ctx 4096 --seed 3
check "another model can be made" "$mesh_node" synth -o "$other" "${shape[@]}" --ctx 4096 --seed 4
check "a model with a very long context can be made" \
    "$mesh_node" synth -o "$wide" --dim 512 --hidden 512 --layers 16 --heads 8 --kv-heads 8 --vocab 300 --ctx 16777216 --type q4_0
generate=("$mesh_node" run -m "$small" -p abc -n 6 --seed 1)

# refused SENTENCE CODE TEXT COMMAND...: as check_exit, and stderr ends with one message "mesh-node: what: why...", stdout is empty.
refused() {
    local sentence=$1 expected=$2 text=$3 last
    shift 3
    run timeout -k 5 60 "$@"
    last=$(tail -n 1 "$err")
    if [ "$code" -ne "$expected" ]; then
        not_ok "$sentence" "command: $*" "expected exit code $expected" "$(show_run)"
    elif ! grep -qF -e "$text" <<<"$last"; then
        not_ok "$sentence" "command: $*" "expected in the last line: $text" "$(show_run)"
    elif ! grep -qE '^mesh-node: [^:]+.*: [^:]+.*: .+' <<<"$last" || [ "$(grep -c '^mesh-node: ' "$err")" -ne 1 ]; then
        not_ok "$sentence" "command: $*" "expected one message: mesh-node: what: why: what to do" "$(show_run)"
    elif [ -s "$out" ]; then
        not_ok "$sentence" "command: $*" "expected nothing on stdout" "$(show_run)"
    else
        ok "$sentence"
    fi
}

# ---- help ----

check_equal "the commands are known" "$(grep -cE '^(run|plan|inspect|synth)$' <<<"$commands")" 4
for command in "" $commands; do
    # shellcheck disable=SC2086 # no word when there is no command
    check "mesh-node $command --help succeeds" "$mesh_node" $command --help
    check_equal "mesh-node $command --help has at most 50 lines of 100 columns" \
        "$(awk 'length > 100 { wide++ } END { print (NR <= 50 && !wide) ? "fits" : NR " lines, " wide " too wide" }' "$out")" fits
    check_contains "mesh-node $command --help has examples" "$out" "examples:"
    check_equal "mesh-node $command --help says nothing on stderr" "$(cat "$err")" ""
    # shellcheck disable=SC2086
    check "mesh-node $command --version succeeds" "$mesh_node" $command --version
    check_equal "mesh-node $command --version is one line" "$(grep -cE '^mesh-node [0-9]+\.[0-9]+\.[0-9]+$' "$out")/$(wc -l <"$out")" 1/1
done
check "mesh-node run -h is --help" "$mesh_node" run -h

# ---- options ----

refused "no command is refused" 2 "mesh-node --help" "$mesh_node"
refused "a mistyped command gets a suggestion" 2 "did you mean run" "$mesh_node" rnu -m x
refused "a mistyped --help gets a suggestion" 2 "did you mean --help" "$mesh_node" --hlep
refused "an unknown command is refused" 2 "no such command" "$mesh_node" xyzzy
refused "an empty command is refused" 2 "'': no such command" "$mesh_node" ""
refused "an unknown command has no version" 2 "no such command" "$mesh_node" xyzzy --version
refused "a mistyped option gets a suggestion" 2 "did you mean --model" "$mesh_node" run --modle x
refused "an unknown option is refused" 2 "--frobnicate" "${generate[@]}" --frobnicate
refused "an unknown letter is refused" 2 "-q" "${generate[@]}" -q
refused "a missing value is refused" 2 "value missing" "$mesh_node" run -m
refused "an empty name of a model is refused" 2 "--model: its value is empty" "$mesh_node" run -m "" -p a
refused "an empty name of a file is refused where one is expected" 2 "'': an empty argument: give MODEL.gguf" "$mesh_node" inspect ""
refused "an option in place of a value is refused" 2 "'-p' follows" "$mesh_node" run --seed -p abc
refused "a word where nothing is taken is refused" 2 "extra" "${generate[@]}" extra
refused "a word in place of a number is refused" 2 "not a whole number" "${generate[@]}" -n many
refused "a negative number is refused" 2 "from 1 to" "${generate[@]}" -n -1
refused "no tokens is refused" 2 "out of range" "${generate[@]}" -n 0
refused "a number with a tail is refused" 2 "'5x'" "${generate[@]}" --top-k 5x
refused "a number of more than 64 bits is refused" 2 "out of range" "${generate[@]}" --seed 99999999999999999999
refused "a temperature is a number" 2 "not a number" "${generate[@]}" --temp hot
refused "a temperature is not negative" 2 "--temp" "${generate[@]}" --temp -1
refused "a temperature is not infinite" 2 "--temp" "${generate[@]}" --temp inf
refused "top-p is a probability" 2 "--top-p" "${generate[@]}" --top-p 1.5
refused "min-p is a probability" 2 "--min-p" "${generate[@]}" --min-p 1
refused "a repeat penalty is positive" 2 "--repeat-penalty" "${generate[@]}" --repeat-penalty 0
refused "no model is refused" 2 "-m MODEL.gguf" "$mesh_node" run -p abc
refused "two prompts are refused" 2 "give one prompt" "${generate[@]}" -f x
refused "two kinds of output are refused" 2 "--json and --ids" "${generate[@]}" --json --ids
refused "no nodes is refused" 2 "--local" "${generate[@]}" --local 0
refused "too many nodes are refused" 2 "from 1 to 64" "${generate[@]}" --local 65
refused "too many threads are refused" 2 "--threads" "${generate[@]}" -t 100000
refused "an unknown type for keys and values is refused" 2 "f16, f32, q8_0" "${generate[@]}" --kv-type f8
refused "an unknown kernel is refused" 2 "scalar" "${generate[@]}" --kernel sse
"$mesh_node" run -m x -p x --kernel sse 2>"$tmp/run-kernel"
for command in "serve -m x" "bench kernels" "train -o $tmp/none.gguf --steps 1 --text README.md"; do
    # shellcheck disable=SC2086 # words
    "$mesh_node" $command --kernel sse 2>&1 | tail -n 1 >"$tmp/its-kernel"
    check_same "${command%% *} says the same of an unknown kernel" "$tmp/its-kernel" "$tmp/run-kernel"
done
check "a kernel may be in capitals" "${generate[@]}" -n 1 --kernel Scalar
refused "a context longer than the model's is refused" 2 "4096" "${generate[@]}" --ctx 4097
refused "too few shares are refused" 2 "2 shares for 3 nodes" "${generate[@]}" --local 3 --shares 1,2
refused "more shares than nodes are refused" 2 "2 shares for 1 node:" "${generate[@]}" --shares 1,2
refused "a share that is no number is refused" 2 "'x'" "${generate[@]}" --local 2 --shares 1,x
refused "a negative share is refused" 2 "'-1'" "${generate[@]}" --local 2 --shares 1,-1
refused "an empty share is refused" 2 "--shares" "${generate[@]}" --local 2 --shares 1,
refused "shares that are all 0 are refused" 2 "all are 0" "${generate[@]}" --local 2 --shares 0,0
refused "an unknown lab condition is refused" 2 "'noise'" "${generate[@]}" --local 2 --lab noise=1
refused "a loss above 100 % is refused" 2 "loss" "${generate[@]}" --local 2 --lab loss=101%
refused "a delay without unit is refused" 2 "50us" "${generate[@]}" --local 2 --lab delay=50
refused "an empty lab is refused" 2 "--lab" "${generate[@]}" --lab ""
refused "plan needs a model" 2 "-m MODEL.gguf" "$mesh_node" plan
refused "plan counts shares" 2 "1 share for 3 nodes" "$mesh_node" plan -m "$small" --nodes 3 --shares 1
printf '[cluster]\nmodel = %s\nctx = 64\n' "$small" >"$tmp/two.conf"
printf '[node %s]\naddress = 127.0.0.1:%s\nshare = %s\n' a 7411 3 b 7412 1 >>"$tmp/two.conf"
check "plan takes a cluster file" "$mesh_node" plan -c "$tmp/two.conf"
sed "s/this machine (.* GB)/this machine/" "$out" >"$tmp/plan.conf"
check "plan takes the same as options" "$mesh_node" plan -m "$small" --ctx 64 --nodes 2 --shares 3,1 --slots 4
sed "s/this machine (.* GB)/this machine/" "$out" >"$tmp/plan.options"
check_same "plan prints the same for a cluster file and for options" "$tmp/plan.conf" "$tmp/plan.options"
printf '[cluster]\nmodel = %s\nctx = 64\nslots = 2\nbatch = 32\nkv-type = q8_0\n' "$small" >"$tmp/sizes.conf"
printf '[node a]\naddress = 127.0.0.1:7411\nshare = 2\n[node b]\naddress = 127.0.0.1:7412\n' >>"$tmp/sizes.conf"
"$mesh_node" plan -c "$tmp/sizes.conf" --json >"$tmp/plan.conf"
"$mesh_node" plan -m "$small" --ctx 64 --slots 2 --batch 32 --kv-type q8_0 --nodes 2 --shares 2,1 --json >"$tmp/plan.options"
check_same "plan takes all sizes from a cluster file" "$tmp/plan.conf" "$tmp/plan.options"
"$mesh_node" plan -c "$tmp/sizes.conf" -m "$other" --ctx 32 --slots 1 --batch 16 --kv-type f16 -t 3 --json >"$tmp/plan.conf"
"$mesh_node" plan -m "$other" --ctx 32 --slots 1 --batch 16 --kv-type f16 -t 3 --nodes 2 --shares 2,1 --json >"$tmp/plan.options"
check_same "options of plan come before a cluster file" "$tmp/plan.conf" "$tmp/plan.options"
check_contains "plan counts nodes, context and slots" "$tmp/plan.options" '"ctx":32,"slots":1,'
printf '[cluster]\nctx = 64\n' >"$tmp/nobody.conf"
refused "plan needs nodes in a cluster file" 3 "no [node NAME] in it" "$mesh_node" plan -c "$tmp/nobody.conf" -m "$small"
refused "plan takes one or the other" 2 "leave out --nodes" "$mesh_node" plan -c "$tmp/two.conf" --nodes 2
refused "plan names a missing cluster file" 4 "none.conf" "$mesh_node" plan -c "$tmp/none.conf"
refused "plan refuses a folder as a cluster file" 4 "$tmp: cannot read: Is a directory: give a cluster file" "$mesh_node" plan -c "$tmp"
printf '[cluster]\nslotz = 3\n' >"$tmp/wrong.conf"
refused "plan names the line that is wrong" 3 "wrong.conf:2: slotz" "$mesh_node" plan -c "$tmp/wrong.conf"
refused "plan refuses a context longer than the model's" 2 "4096" "$mesh_node" plan -m "$small" --ctx 5000
refused "inspect needs a file" 2 "MODEL.gguf" "$mesh_node" inspect
refused "inspect takes one file" 2 "one too many" "$mesh_node" inspect "$small" "$other"
refused "synth needs a file" 2 "-o FILE.gguf" "$mesh_node" synth
refused "synth names the types it knows" 2 "q4_k" "$mesh_node" synth -o "$tmp/x.gguf" --type q9_9
refused "synth explains a bad shape" 2 "multiple of" "$mesh_node" synth -o "$tmp/x.gguf" --dim 65
refused "synth names a folder that is not there" 4 "$tmp/none/x.gguf" "$mesh_node" synth -o "$tmp/none/x.gguf" --layers 1

# ---- prompts ----

refused "a missing model is named" 4 "$tmp/none.gguf" "$mesh_node" run -m "$tmp/none.gguf" -p abc
refused "a missing model is named by plan" 4 "$tmp/none.gguf" "$mesh_node" plan -m "$tmp/none.gguf"
refused "a missing model is named by inspect" 4 "$tmp/none.gguf" "$mesh_node" inspect "$tmp/none.gguf"
refused "a missing prompt is named" 4 "$tmp/none.txt" "$mesh_node" run -m "$small" -f "$tmp/none.txt"
refused "a prompt that is a folder is refused" 4 "$tmp" "$mesh_node" run -m "$small" -f "$tmp"
refused "a file of prompt ids that is a folder is refused" 4 "$tmp: cannot be read" "$mesh_node" run -m "$small" --prompt-ids "$tmp"
head -c 5000 /dev/zero | tr '\0' x >"$tmp/long.txt"
refused "a prompt longer than the context is refused with both lengths" 2 "5002 tokens, the context holds 4096" \
    "$mesh_node" run -m "$small" -f "$tmp/long.txt"
refused "a prompt that fills the context leaves no place" 2 "or give a larger --ctx" "$mesh_node" run -m "$small" -p abcd --ctx 3
run "$mesh_node" run -m node/models/stories-q8_0.gguf -f "$tmp/long.txt"
check_equal "a larger --ctx is not suggested where the context can be no larger" "$(sed 's/.*holds/holds/' "$err")" \
    "holds 512, the model's limit: shorten it"
check "a text may end as the context is full" "$mesh_node" run -m "$small" -p abcd --ctx 20 -n 100 --ignore-eos --seed 1
check_contains "it is said that the context is full" "$err" "stopped: the context is full"
check "a text may end for its length" "$mesh_node" run -m "$small" -p abcd --ctx 20 -n 3 --ignore-eos --seed 1 --json
check_contains "JSON has the reason" "$out" '"reason":"length"'
check_equal "nothing is said of the context" "$(grep -c stopped "$err")" 0
check "an empty prompt is generated from" "$mesh_node" run -m "$small" -p "" -n 3 --seed 1
check_contains "it has one token" "$err" "prompt 1 token at "
check "no prompt is an empty prompt" "$mesh_node" run -m "$small" -n 3 --seed 1

check "a prompt is given in words" "${generate[@]}" --ids
cp "$out" "$tmp/ids"
printf abc >"$tmp/abc.txt"
check "a prompt is read from a file" "$mesh_node" run -m "$small" -f "$tmp/abc.txt" -n 6 --seed 1 --ids
check_same "a prompt from a file gives the same ids" "$out" "$tmp/ids"
"$mesh_node" run -m "$small" -f - -n 6 --seed 1 --ids <"$tmp/abc.txt" >"$out" 2>"$err"
check_same "a prompt is read from stdin" "$out" "$tmp/ids"
echo 1 2 1000000 >"$tmp/prompt.ids"
refused "a prompt of ids that the model does not have is refused" 2 "prompt: token 2 is 1000000" \
    "$mesh_node" run -m "$small" --prompt-ids "$tmp/prompt.ids"
echo 1 2 3 >"$tmp/prompt.ids"
refused "a prompt of too many ids is refused" 2 "the context holds 2" "$mesh_node" run -m "$small" --prompt-ids "$tmp/prompt.ids" --ctx 2
check "text is one line when it has no line breaks" "${generate[@]}"
check_equal "stdout ends with a newline" "$(tail -c 1 "$out" | od -An -c | tr -d ' ')" '\n'
check "a run with lab conditions" "${generate[@]}" --local 2 --lab loss=1%,seed=5
check_contains "a run with lab conditions prints them" "$err" "lab: loss=1%,seed=5"
check "a run without a seed" "$mesh_node" run -m "$small" -p abc -n 6 --ids
cp "$out" "$tmp/ids"
seed=$(sed -n 's/^seed: //p' "$err")
check "the seed that a run printed can be given" "$mesh_node" run -m "$small" -p abc -n 6 --ids --seed "$seed"
check_same "the printed seed repeats the run" "$out" "$tmp/ids"
check "NO_COLOR changes nothing" env NO_COLOR=1 "$mesh_node" run -m "$small" -p abc -n 6 --ids --seed "$seed"
check_same "NO_COLOR changes nothing in the output" "$out" "$tmp/ids"
check_equal "NO_COLOR leaves no colours" "$(grep -c "$(printf '\033')" "$out" "$err" | sed 's/.*://' | sort -u)" 0

# ---- characters ----

# At a high temperature most tokens are single bytes, so characters span tokens, are broken, and the last one is cut off.
hot=(--temp 3 --top-k 0 --top-p 1 --min-p 0 -n 1500 --seed 9 --ignore-eos)
check "random bytes are generated" "$mesh_node" run -m "$small" -p "" "${hot[@]}"
cp "$out" "$tmp/text"
check "their text is valid UTF-8" iconv -f UTF-8 -t UTF-8 "$tmp/text"
check_equal "what is no character is shown as U+FFFD" \
    "$([ "$(grep -o "$(printf '\357\277\275')" "$tmp/text" | wc -l)" -gt 50 ] && echo yes)" yes
check_equal "NUL bytes are not printed" "$(tr -cd '\0' <"$tmp/text" | wc -c)" 0
"$mesh_node" run -m "$small" -p "" "${hot[@]}" --json >"$tmp/json" 2>/dev/null
check "JSON is valid UTF-8, too" iconv -f UTF-8 -t UTF-8 "$tmp/json"
check_equal "JSON is one object per token and a summary" \
    "$(grep -c '^{"schema_version":1,"event":"token",.*}$' "$tmp/json")/$(wc -l <"$tmp/json")" 1500/1501

# ---- memory ----

refused "a model that cannot fit is refused with the numbers, before anything is loaded" 4 "--ctx" \
    "$mesh_node" run -m "$wide" -p abc --ctx 16777216
check_equal "the plan is printed before the refusal" \
    "$(head -n 1 "$err" | grep -cE '^memory: [0-9.]+ [kMGT]?B needed .*, [0-9.]+ [kMGT]?B available$')" 1
check "the same model with a shorter context runs" "$mesh_node" run -m "$wide" -p abc -n 2 --ctx 64 --temp 0
check "plan tells the numbers" "$mesh_node" plan -m "$wide" --nodes 2 --ctx 16777216
check_contains "plan tells whether the model fits on one node fewer" "$out" "the model does not fit"
check "plan prints JSON" "$mesh_node" plan -m "$small" --nodes 3 --json
check_equal "plan --json prints one object per node, and a summary" \
    "$(grep -c '^{"schema_version":1,"event":"node",' "$out")/$(tail -n 1 "$out" |
    grep -c '^{"schema_version":1,"event":"summary",.*"nodes":3,')" 3/1
check_contains "the summary of plan --json tells whether the model fits on one node fewer" "$out" '"fits_on_one_fewer":true'

# ---- stdout ----

for command in "run -m $small -p abc -n 50 --seed 1 --local 2" "run -m $small -p abc -n 50 --seed 1 --json" \
    "plan -m $small" "inspect $small" --help; do
    # shellcheck disable=SC2086
    timeout -k 5 60 "$mesh_node" $command >/dev/full 2>"$err"
    check_equal "mesh-node ${command%% *}: a full stdout is an error" \
        "$? $(tail -n 1 "$err" | grep -c '^mesh-node: stdout: .*No space left')" "4 1"
done

# ---- serve ----

check_exit "a cluster's name that is too long is wrong usage, with a key or without" 2 "--name: 65 bytes: give at most 64" \
    "$mesh_node" serve -m "$small" --name "$(head -c 65 /dev/zero | tr '\0' n)"

check_exit "an empty lab is wrong usage for serve, too" 2 "--lab: nothing in it" timeout -k 5 20 "$mesh_node" serve -m "$small" --lab ""

# ---- closed streams ----

# The next files opened would get their numbers, and messages would be written into a socket or a model file.
streams_of() { for n in 0 1 2; do readlink "/proc/$1/fd/$n" || echo none; done | sort | uniq -c | sed 's/^ *//'; }
has_socket() { [ "$(find "/proc/$1/fd" -lname 'socket:*' | wc -l)" -gt 0 ]; }
has_streams() { [ "$(streams_of "$background_pid")" = "3 /dev/null" ] && has_socket "$background_pid"; }
port=$(free_port)
for command in "mesh-node serve -m $small --listen 127.0.0.1:$port -t 1" "mesh-monitor -b -n 1 --to 127.0.0.1:$(free_port)"; do
    [ -x "$BIN/${command%% *}" ] || continue
    # shellcheck disable=SC2086
    background sh -c 'exec <&- >&- 2>&- "$@"' sh "$BIN/"$command
    check "${command%% *}: files and sockets do not take the place of closed streams" wait_until 10 has_streams
    kill "$background_pid"
done

# ---- endings ----

# Each node answers after 2 ms, so these runs take minutes unless they are ended.
endless=("$mesh_node" run -m "$small" -p abc -n 4000 --seed 1 --ignore-eos --local 3 --lab delay=2ms)

children_of() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
has_children() { [ "$(children_of "$1" | wc -w)" -eq "$2" ]; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }
all_gone() {
    local pid
    for pid in "$@"; do is_gone "$pid" || return 1; done
}

# start COMMAND...: in the background, until it has printed something; its children in $children
start() {
    background "$@" >"$out" 2>"$err"
    wait_until 30 test -s "$out" || not_ok "a generation begins" "$(show_run)"
    children=$(children_of $background_pid)
}

# ended SENTENCE CODE: the program ends with that code, long before it would by itself, and its children end, too.
ended() {
    local limit=$((SECONDS + 30))
    code=0
    wait "$background_pid" || code=$?
    # shellcheck disable=SC2086 # process ids
    if [ $code -ne "$2" ]; then
        not_ok "$1" "expected exit code $2" "$(show_run)"
    elif [ $SECONDS -gt $limit ]; then
        not_ok "$1" "it took too long" "$(show_run)"
    elif ! wait_until 20 all_gone $children; then
        not_ok "$1" "left behind: $children" "$(show_run)"
    else
        ok "$1"
    fi
}

start "${endless[@]}"
check_equal "three nodes are a process and two children" "$(wc -w <<<"$children")" 2
victim=${children%% *}
kill -KILL "$victim"
ended "a run whose node is killed ends with exit code 4 and leaves nothing behind" 4
check_contains "the message names the killed node and the signal" "$err" "(process $victim): killed by signal 9 (Killed): "

start "${endless[@]}"
victim=$background_pid
{ kill -KILL "$victim" && wait "$victim"; } 2>/dev/null
# shellcheck disable=SC2086
check "children end with their parent, even when it is killed" wait_until 20 all_gone $children

for nodes in 1 3; do
    start "$mesh_node" run -m "$small" -p abc -n 4000 --seed 1 --ignore-eos --local $nodes --lab delay=2ms,pace=5MB/s
    # Ctrl-C goes to all processes in the foreground. A background job ignores SIGINT, so the program must not: see on_interrupt.
    # shellcheck disable=SC2086
    kill -INT $background_pid $children
    ended "Ctrl-C ends $nodes node(s) with exit code 0 and leaves nothing behind" 0
    check_equal "an interrupted run prints its figures" "$(grep -cE '^[0-9]+ nodes?, .* prompt .* tok/s' "$err")" 1
    check_equal "the text of an interrupted run ends with a newline" "$(tail -c 1 "$out" | od -An -c | tr -d ' ')" '\n'
done

for nodes in 1 3; do
    start "$mesh_node" run -m "$small" -p abc -n 4000 --seed 1 --ignore-eos --local $nodes --lab delay=2ms,pace=5MB/s
    # shellcheck disable=SC2086 # timeout and service managers signal to all processes, too
    kill -TERM $background_pid $children
    ended "SIGTERM ends $nodes node(s) like Ctrl-C" 0
    check_equal "a terminated run prints its figures" "$(grep -cE '^[0-9]+ nodes?, .* prompt .* tok/s' "$err")" 1
done

for nodes in 1 3; do
    # The inner shell records the exit code of the program, and ends with it.
    # shellcheck disable=SC2016
    timeout -k 5 60 bash -c '"$@" 2>"$0"; echo $? >"$0.code"' "$err" "$mesh_node" run -m "$small" -p abc -n 4000 --seed 1 --ignore-eos \
        --local $nodes | head -c 1 >"$out"
    check_equal "a reader that goes away ends $nodes node(s), with a word" \
        "$(cat "$err.code") $(tail -n 1 "$err" | grep -c '^mesh-node: stdout: cannot write: Broken pipe: ')" "4 1"
done
check_equal "no process is left behind" "$(pgrep -f "$small" 2>/dev/null)" ""

# ---- nodes that are started one by one ----

port=$(free_port)
peers=127.0.0.1:$port,127.0.0.1:$((port + 1))

# pair RANK-0-OPTIONS -- RANK-1-OPTIONS: two nodes; results of rank 0 as by `run`, those of rank 1 in $out.1, $err.1 and $code_1
pair() {
    local first=()
    while [ "$1" != -- ]; do
        first+=("$1")
        shift
    done
    shift
    background timeout -k 5 60 "$mesh_node" run --peers "$peers" --rank 1 "$@" >"$out.1" 2>"$err.1"
    run timeout -k 5 60 "$mesh_node" run --peers "$peers" --rank 0 -p abc -n 20 --seed 5 --digest "${first[@]}"
    code_1=0
    wait "$background_pid" || code_1=$?
}

if unshare -rn true 2>/dev/null; then # where the loopback is down
    for nodes in "--local 2 --join-timeout 600" "--peers $peers --rank 0 --join-timeout 1"; do
        # shellcheck disable=SC2086 # options
        check_exit "where nothing can be sent, the reason is given: ${nodes%% *}" 4 "nothing can be sent there: Network is unreachable: " \
            timeout 60 unshare -rn "$mesh_node" run -m "$small" -p abc -n 5 $nodes
    done
else
    skip "where nothing can be sent, the reason is given" "no network namespace can be made here (unshare -rn)"
fi
check "a local mesh gives a digest" "$mesh_node" run --local 2 -m "$small" -p abc -n 20 --seed 5 --digest
reference=$(tail -n 1 "$out")
pair -m "$small" -- -m "$small"
check_equal "two nodes started one by one give the same" "$code $code_1 $(tail -n 1 "$out")" "0 0 $reference"
check_equal "rank 1 prints nothing on stdout" "$(cat "$out.1")" ""
pair -m "$small" -t 1 --shares 1,2 -- -m "$small" -t 2 --shares 1,2 --kernel scalar
check_equal "threads and kernels may differ" "$code $code_1 $(tail -n 1 "$out")" "0 0 $reference"
if has_ipv6; then
    peers="[::1]:$port,[::1]:$((port + 1))"
    pair -m "$small" -- -m "$small"
    check_equal "IPv6 gives the same" "$code $code_1 $(tail -n 1 "$out")" "0 0 $reference"
else
    skip "IPv6 gives the same" "the loopback has no such address"
fi
peers=127.0.0.1:$port,127.0.0.1:$((port + 1))
# The bytes at which a mapped IPv4 address is recognised first are ff ff in this IPv6 address, too.
like_mapped="[fd00::ffff:0:1]:$port"
alone="ip link set lo up && ip address add fd00::ffff:0:1/128 dev lo nodad"
if unshare -rn sh -c "$alone" 2>/dev/null; then
    "$mesh_node" keygen -o "$tmp/key"
    check "a client calls a node at an IPv6 address that looks like a mapped one" \
        unshare -rn bash -c "$alone; '$mesh_node' serve -m '$small' -t 1 --listen '$like_mapped' --key '$tmp/key' & node=\$!
            for _ in 1 2 3; do
                '$mesh_node' status --to '$like_mapped' --key '$tmp/key' && { kill \$node && wait \$node; exit 0; }
            done
            kill \$node; exit 1"
else
    skip "a client calls a node at an IPv6 address that looks like a mapped one" "no network namespace with IPv6 can be made here"
fi

# both_refuse WHAT TEXT RANK-0-OPTIONS -- RANK-1-OPTIONS
both_refuse() {
    local what=$1 text=$2
    shift 2
    pair "$@"
    check_equal "$what is refused by both with exit code 4" "$code $code_1" "4 4"
    check_contains "$what: rank 0 says so" "$err" "$text"
    check_contains "$what: rank 0 names the peer" "$err" "127.0.0.1:$((port + 1)): rank 1"
    check_contains "$what: rank 1 says so" "$err.1" "$text"
    check_contains "$what: rank 1 names the peer" "$err.1" "127.0.0.1:$port: rank 0"
}
both_refuse "another model" "model" -m "$small" -- -m "$other"
both_refuse "another context" "configuration" -m "$small" --ctx 100 -- -m "$small"
both_refuse "another batch" "configuration" -m "$small" --batch 16 -- -m "$small"
both_refuse "another way to keep keys" "configuration" -m "$small" -- -m "$small" --kv-type f32
both_refuse "other shares" "configuration" -m "$small" -- -m "$small" --shares 2,1

is_over() { ! kill -0 "$1"; } # PID
# killed_rank RANK: rank RANK of two is killed while it computes slowly; the other one ends and says why
killed_rank() {
    local pids=() rank of=$1
    for rank in 0 1; do
        background "$mesh_node" run --peers "$peers" --rank $rank -m "$small" -p abc -n 200 --ignore-eos --seed 5 \
            --lab pace=1MB/s >"$out.$rank" 2>"$err.$rank"
        pids[rank]=$background_pid
    done
    wait_until 20 test -s "$out.0"
    kill -KILL "${pids[of]}"
    wait_until 20 is_over "${pids[1 - of]}" || kill "${pids[1 - of]}"
    code=0
    wait "${pids[1 - of]}" || code=$?
    check_equal "a killed rank $of ends the other with exit code 4" "$code" 4
    check_contains "which says that its process has ended" "$err.$((1 - of))" "rank $of (127.0.0.1:$((port + of))): its process has ended"
}
killed_rank 0
killed_rank 1

refused "a peer that never comes is named" 4 "rank 1 (127.0.0.1:$((port + 1))): no answer within 1 s" \
    "$mesh_node" run -m "$small" -p abc --peers "$peers" --join-timeout 1 --seed 1
refused "rank 0 that never comes is named" 4 "rank 0 (127.0.0.1:$port): no answer within 1 s" \
    "$mesh_node" run -m "$small" --peers "$peers" --rank 1 --join-timeout 1
background "$mesh_node" run -m "$small" --peers "$peers" --rank 1 2>/dev/null
wait_until 10 grep -qi ":$(printf '%04X' $((port + 1))) " /proc/net/udp
refused "an occupied port is named" 4 "127.0.0.1:$((port + 1)): cannot listen" "$mesh_node" run -m "$small" --peers "$peers" --rank 1
check_contains "the message about an occupied port states the remedy" "$err" "end it, or give another port"
kill "$background_pid"

refused "peers off the loopback are refused" 2 "loopback" "${generate[@]}" --peers 192.0.2.1:7411,192.0.2.2:7411
refused "a peer without a port is refused" 2 "ADDRESS:PORT" "${generate[@]}" --peers 127.0.0.1,127.0.0.2
refused "an empty peer is refused" 2 "ADDRESS:PORT" "${generate[@]}" --peers "$peers,"
refused "a peer given twice is refused" 2 "rank 0 and for rank 1" "${generate[@]}" --peers "127.0.0.1:$port,127.0.0.1:$port"
refused "port 0 is refused" 2 "port 0" "${generate[@]}" --peers "127.0.0.1:$port,127.0.0.1:0"
refused "a rank beyond the peers is refused" 2 "from 0 to 1" "${generate[@]}" --peers "$peers" --rank 2
refused "a rank without peers is refused" 2 "--peers" "${generate[@]}" --rank 1
refused "peers and local nodes together are refused" 2 "--peers and --local" "${generate[@]}" --peers "$peers" --local 2

if [ -x "$BIN/mesh-explore" ]; then
    for option in -h --help; do
        check "mesh-explore has $option" "$BIN/mesh-explore" "$option"
        check_contains "it shows how it is used" "$out" "usage: mesh-explore"
    done
    for option in -V --version; do
        check "mesh-explore has $option" "$BIN/mesh-explore" "$option"
        check_equal "it is that of mesh-node" "$(cat "$out")" "mesh-explore $("$mesh_node" --version | cut -d' ' -f2)"
    done
fi
finish
