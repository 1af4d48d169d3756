#!/bin/bash
# mesh-node api: OpenAI's API over HTTP, answered by a cluster of two; what it refuses; nodes and clients that go away; a stop.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
if "$mesh_node" api --api-key "$tmp/none" 2>&1 | grep -q 'built without'; then skip_all "built without libmicrohttpd or jansson"; fi

model=node/models/stories-q8_0.gguf
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi

# api NAME OPTION...: started in the background with its log in $tmp/NAME; $api_port and $background_pid are its own
api() {
    local name=$1 log=$tmp/$1
    shift
    background "$mesh_node" api --listen 127.0.0.1:0 ${security[@]+"${security[@]}"} "$@" 2>"$log"
    if ! wait_until 10 grep -q '^mesh-node: api: http://' "$log"; then not_ok "api $name starts" "$(cat "$log")"; fi
    api_port=$(sed -n 's|^mesh-node: api: http://127.0.0.1:\([0-9]*\)/v1.*|\1|p' "$log")
}
# http METHOD PATH [BODY [HEADER...]]: the answer with its headers into $answer, without the sizes of chunks
http() {
    local method=$1 path=$2 body=${3:-} header
    shift $(($# < 3 ? $# : 3))
    answer=$tmp/answer
    exec 9<>"/dev/tcp/127.0.0.1/$api_port" || return 1
    {
        printf '%s %s HTTP/1.1\r\nConnection: close\r\n' "$method" "$path"
        [[ " $*" == *" Host:"* ]] || printf 'Host: localhost:%s\r\n' "$api_port"
        for header; do printf '%s\r\n' "$header"; done
        [[ -z $body || " $*" == *" Content-Type:"* ]] || printf 'Content-Type: application/json\r\n'
        [ -z "$body" ] || printf 'Content-Length: %d\r\n' "$(printf %s "$body" | wc -c)"
        printf '\r\n%s' "$body"
    } >&9
    timeout 300 cat <&9 | tr -d '\r' | grep -vxE '[0-9a-f]{1,4}' >"$answer"
    exec 9>&-
}
# send BODY: asks for a completion on descriptor 8, without waiting for the answer
send() {
    exec 8<>"/dev/tcp/127.0.0.1/$api_port"
    printf '%s\r\n' 'POST /v1/completions HTTP/1.1' 'Host: localhost' 'Connection: close' 'Content-Type: application/json' \
        "Content-Length: ${#1}" '' >&8
    printf '%s' "$1" >&8
}
status() { sed -n '1s/^HTTP\/1.1 \([0-9]*\) .*/\1/p' "$answer"; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$answer"; }                      # of the only object
pieces() { grep -o "\"$1\":\"[^\"]*\"" "$answer" | sed "s/^\"$1\":\"//; s/\"\$//" | tr -d '\n'; } # of a stream, joined
expect() {                                                                              # SENTENCE STATUS TEXT: of the last answer
    if [ "$(status)" = "$2" ] && grep -qF -e "$3" "$answer"; then
        ok "$1"
    else
        not_ok "$1" "expected $2 and: $3" "found: $(cat "$answer")"
    fi
}

# ---- a cluster ----

first=$(free_port) second=$(free_port)
background "$mesh_node" serve -t 1 -m "$model" --listen "127.0.0.1:$first" ${security[@]+"${security[@]}"} 2>"$tmp/first"
first_pid=$background_pid
background "$mesh_node" serve -t 1 -m "$model" --join "127.0.0.1:$first" --listen "127.0.0.1:$second" ${security[@]+"${security[@]}"} \
    2>"$tmp/second"
ask() { timeout -k 5 60 "$mesh_node" ask --to "127.0.0.1:$first" ${security[@]+"${security[@]}"} "$@"; }
nodes() { "$mesh_node" status --json --to "127.0.0.1:$2" ${security[@]+"${security[@]}"} 2>/dev/null | grep -q "\"nodes\":$1,"; }
if ! wait_until 60 nodes 2 "$second"; then not_ok "two nodes form a cluster" "$(cat "$tmp/second")"; fi

api log --to "127.0.0.1:$first" --to "127.0.0.1:$second"
api_pid=$background_pid
http GET /v1/models
expect "the model is listed by its name" 200 '"data":[{"id":"stories-q8_0","object":"model"'
http GET /v1/models/stories-q8_0
expect "and found by it" 200 '{"id":"stories-q8_0","object":"model"'
http GET /v1/models/other
expect "another one is not" 404 '"code":"model_not_found"'
http GET /health
expect "the cluster can be asked" 200 '{"status":"ok"}'

# ---- texts ----

check "the cluster is asked without HTTP" ask -p "Once upon a time" -n 30 --temp 0
expected=$(cat "$out")
http POST /v1/completions '{"model":"stories-q8_0","prompt":"Once upon a time","max_tokens":30,"temperature":0}'
expect "a text is completed" 200 '"object":"text_completion"'
check_equal "with the same words" "$(member text)" "$expected"
expect "and what it took" 200 '"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":30,"total_tokens":35}'
http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":1000,"temperature":0}'
expect "it ends where the model ends it" 200 '"finish_reason":"stop"}],"usage":{"prompt_tokens":5,'
http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":30,"temperature":0,"stream":true,
    "stream_options":{"include_usage":true}}'
expect "a stream ends as streams do" 200 'data: [DONE]'
check_equal "and has the same words" "$(pieces text)" "$expected"
check_equal "in more than one piece" "$(($(grep -c '^data: {' "$answer") > 10))" 1
expect "and what it took at the end" 200 '"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":30,"total_tokens":35}'
word=$(cut -d ' ' -f 6 <<<"$expected")
http POST /v1/completions "{\"prompt\":\"Once upon a time\",\"max_tokens\":30,\"temperature\":0,\"stop\":[\"nowhere\",\"$word\"]}"
expect "a text ends before a stop" 200 '"finish_reason":"stop"}],"usage":{"prompt_tokens":5,'
check_equal "exactly" "$(member text)" "${expected%%"$word"*}"
tokens=$(sed -n 's/.*"completion_tokens":\([0-9]*\),.*/\1/p' "$answer")
check_equal "and what came up to it is counted" "$((tokens >= $(wc -w <<<"${expected%%"$word"*}")))" 1
http POST /v1/completions "{\"prompt\":\"Once upon a time\",\"max_tokens\":30,\"temperature\":0,\"stop\":\"${expected: -3}...\"}"
check_equal "what only begins like a stop is part of the text" "$(member text) $(member finish_reason)" "$expected length"
for i in 1 2; do
    http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":30,"temperature":1.2,"seed":5}'
    seeded[i]=$(member text)
done
for i in 3 4; do
    http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":60,"temperature":2}'
    seeded[i]=$(member text)
done
check_equal "without one, another text comes each time" "$([ "${seeded[3]}" = "${seeded[4]}" ] || echo other)" other
check_equal "a seed gives the same text again" "${seeded[1]}" "${seeded[2]}"
check "the same that ask has" ask -p "Once upon a time" -n 30 --temp 1.2 --top-k 0 --top-p 1 --min-p 0 --seed 5
check_equal "since it is the same arithmetic" "${seeded[1]}" "$(cat "$out")"

# ---- what is refused ----

http GET /
expect "another path is refused" 404 'there is /v1/chat/completions'
http GET /v1/completions
expect "another method" 405 'takes POST only'
expect "with the right one" 405 'Allow: POST'
http DELETE /v1/models/stories-q8_0
expect "as of what can only be read" 405 'Allow: GET, HEAD'
http HEAD /health
check_equal "a balancer may ask for the head alone" "$(status) $(sed -n '/^$/,$p' "$answer")" "200 "
http POST /v1/completions '{"prompt":"x"}' 'Content-Type: text/plain'
expect "another type, which pages of browsers can send" 415 'application/json'
http GET /health '' 'Host: example.org'
expect "a name that is not this machine's" 403 'localhost'
http POST /v1/completions '{"prompt":"x","n":2}'
expect "what is not supported" 400 '"param":"n","code":"unsupported"'
http POST /v1/completions '{"prompt":'
expect "what is not JSON" 400 'the body is not JSON: line 1'
http POST /v1/completions '{"model":"gpt","prompt":"x"}'
expect "another model" 404 "the mesh has stories-q8_0"
http POST /v1/completions "{\"prompt\":\"$(head -c 20000 /dev/zero | tr '\0' x)\"}"
expect "what is longer than the context" 400 'context'
for size in 'Content-Length: 1100000\r\n' 'Transfer-Encoding: chunked\r\n'; do
    exec 9<>"/dev/tcp/127.0.0.1/$api_port"
    printf 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n%b\r\n' "$size" >&9
    if [[ $size = T* ]]; then { printf '10c8e0\r\n' && head -c 1100000 /dev/zero && printf '\r\n0\r\n\r\n'; } >&9; fi
    timeout 20 cat <&9 | tr -d '\r' >"$answer"
    exec 9>&-
    expect "a body that no request needs (${size%%:*})" 413 'has more than'
done
http GET '/%0aforged%1b[2J%00'
http POST /v1/completions '{"model":"m\nforged\u001b[2J","prompt":"x"}'
check_equal "what a client sends is no other line of the log, nor acts on a terminal" "$(grep -cE "^forged|"$'\x1b' "$tmp/log")" 0
http POST /v1/chat/completions '{"messages":[{"role":"user","content":"hello"}]}'
expect "a conversation with a model that is not made for it" 400 'chat_template'
check_exit "other machines are not let in without a key" 2 "give --api-key FILE" "$mesh_node" api --listen 0.0.0.0:0
printf 'a secret that is long\n' >"$tmp/api.key"
check_exit "nor with one that all may read" 3 "chmod 600" "$mesh_node" api --api-key "$tmp/api.key"
chmod 600 "$tmp/api.key"
check_exit "nor with one that no header can hold" 3 "without spaces" "$mesh_node" api --api-key "$tmp/api.key"
printf 'short\n' >"$tmp/api.key"
check_exit "nor with a short one" 3 "one line of 16" "$mesh_node" api --api-key "$tmp/api.key"
check_exit "what is no address of a node is told at the start" 2 "no port" "$mesh_node" api --to 127.0.0.1
check_exit "and so is port 0" 2 "no port" "$mesh_node" api --to "127.0.0.1:$first" --to 127.0.0.1:0
check_exit "an occupied port is told" 4 "another program has this TCP port" "$mesh_node" api --listen "127.0.0.1:$api_port"

# ---- conversations ----

if [ -x "$BIN/bpe-model" ]; then
    "$mesh_node" synth -o "$tmp/spm.gguf" --dim 64 --hidden 160 --layers 2 --heads 4 --kv-heads 2 --vocab 330 --ctx 256 --type f16 --seed 3
    check "a model with a chat template can be made" "$BIN/bpe-model" "$tmp/spm.gguf" "$tmp/chat.gguf"
    chat=$(free_port)
    background "$mesh_node" serve -t 1 -m "$tmp/chat.gguf" --listen "127.0.0.1:$chat" ${security[@]+"${security[@]}"} 2>"$tmp/chat"
    chat_pid=$background_pid
    if ! wait_until 60 nodes 1 "$chat"; then not_ok "its node starts" "$(cat "$tmp/chat")"; fi
    plain_port=$api_port
    api chat-log --to "127.0.0.1:$chat"
    count() { "$mesh_node" status --json --to "127.0.0.1:$chat" ${security[@]+"${security[@]}"} | sed -n "s/.*\"$1\":\([0-9]*\),.*/\1/p"; }
    said() { # TEXT OPTION...: what ask is told, as JSON has it
        timeout -k 5 60 "$mesh_node" ask --to "127.0.0.1:$chat" ${security[@]+"${security[@]}"} --chat -p "$1" -n 16 --temp 0 --ignore-eos \
            --json "${@:2}" | grep -oE '"(token|rest)","text":"([^"\]|\\.)*"' | sed 's/.*"text":"//; s/"$//' | tr -d '\n'
    }
    told() { grep -oE '"content":"([^"\]|\\.)*"' "$answer" | sed 's/"content":"//; s/"$//' | tr -d '\n'; }
    options='"max_tokens":16,"temperature":0,"ignore_eos":true'
    http POST /v1/chat/completions "{$options,\"messages\":[{\"role\":\"user\",\"content\":\"Once upon the time\"}]}"
    expect "a question is answered" 200 '"object":"chat.completion"'
    check_equal "as ask --chat is" "$(told)" "$(said 'Once upon the time')"
    turns='{"role":"system","content":"time 12"},{"role":"user","content":"Once upon the time"}'
    http POST /v1/chat/completions "{$options,\"messages\":[$turns]}"
    check_equal "with a system text as ask --system is" "$(told)" "$(said 'Once upon the time' --system 'time 12')"
    http POST /v1/chat/completions "{$options,\"stream\":true,\"messages\":[$turns]}"
    expect "a stream begins with who speaks" 200 '"delta":{"role":"assistant","content":""}'
    check_equal "and has the same words" "$(told)" "$(said 'Once upon the time' --system 'time 12')"
    before=$(count reused_tokens)
    turns+=',{"role":"assistant","content":"upon the time, the time upon the time"},{"role":"user","content":"and once upon the time"}'
    http POST /v1/chat/completions "{$options,\"messages\":[$turns]}"
    expect "a conversation goes on" 200 '"finish_reason":"length"'
    words=$(told)
    check_equal "from what was computed before" "$(($(count reused_tokens) > before + 15))" 1
    kill "$chat_pid"
    wait "$chat_pid" 2>/dev/null
    background "$mesh_node" serve -t 1 -m "$tmp/chat.gguf" --listen "127.0.0.1:$chat" ${security[@]+"${security[@]}"} 2>"$tmp/chat"
    if ! wait_until 60 nodes 1 "$chat"; then not_ok "its node starts again" "$(cat "$tmp/chat")"; fi
    http POST /v1/chat/completions "{$options,\"messages\":[$turns]}"
    check_equal "with the words that it has when all is computed" "$(told)" "$words"
    check_equal "as it then is" "$(count reused_tokens)" 0
    http POST /v1/chat/completions '{"messages":[{"role":"assistant","content":"x"}]}'
    expect "what cannot be answered is refused" 400 '"param":"messages"'
    api_port=$plain_port
fi

# ---- with a key ----

plain_port=$api_port
printf '0123456789abcdef0123\n' >"$tmp/api.key"
api keyed --to "127.0.0.1:$first" --api-key "$tmp/api.key"
http GET /v1/models
expect "without the key nothing is told" 401 '"code":"invalid_api_key"'
http GET /v1/models '' 'Authorization: Bearer 0123456789abcdef0124'
expect "nor with another one" 401 '"code":"invalid_api_key"'
http GET /v1/models '' 'Authorization: Bearer 0123456789abcdef0123' 'Host: mesh.example.org'
expect "with it everything is, by any name" 200 '"id":"stories-q8_0"'
api_port=$plain_port

# ---- who goes away ----

kill -9 "$first_pid"
wait "$first_pid" 2>/dev/null
http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":30,"temperature":0}'
expect "another member answers when one is killed" 200 '"finish_reason":"length"'
check_equal "with the same words" "$(member text)" "$expected"
last_is() { tail -n 1 "$tmp/log" | grep -q "$1"; }
check "and the log has no word of the dead one" wait_until 10 last_is '200: prompt 5 tokens, generated 30 in .* s, length$'

slow=$(free_port)
background "$mesh_node" serve -t 1 -m "$model" --lab pace=20MB/s --listen "127.0.0.1:$slow" ${security[@]+"${security[@]}"} 2>"$tmp/slow"
if ! wait_until 60 nodes 1 "$slow"; then not_ok "a slow node starts" "$(cat "$tmp/slow")"; fi
slow_node_pid=$background_pid
api slow-log --to "127.0.0.1:$slow"
slow_pid=$background_pid
requests() { "$mesh_node" status --json --to "127.0.0.1:$slow" ${security[@]+"${security[@]}"} 2>/dev/null | grep -q "\"requests\":$1,"; }
long='{"prompt":"Once upon a time","max_tokens":16,"temperature":0,"ignore_eos":true,"stream":STREAM}'
for stream in true false; do
    body=${long/STREAM/$stream}
    send "$body"
    if ! wait_until 20 requests 1; then not_ok "a request is being answered" "$(cat "$tmp/slow-log")"; fi
    exec 8>&-
    sentence="a client that goes away frees its place (stream: $stream)"
    if wait_until 20 requests 0; then ok "$sentence"; else not_ok "$sentence" "$(cat "$tmp/slow-log")"; fi
done
gone() { [ "$(grep -cE 'POST /v1/completions: (200|503): given up after [0-9]+ tokens, ' "$tmp/slow-log")" = 2 ]; }
sentence="the log says so of both"
if wait_until 10 gone; then ok "$sentence"; else not_ok "$sentence" "$(cat "$tmp/slow-log")"; fi

http POST /v1/completions "${long/STREAM/true}" &
asking=$!
if ! wait_until 20 requests 1; then not_ok "a request is being answered" "$(cat "$tmp/slow-log")"; fi
exec 8<>"/dev/tcp/127.0.0.1/$api_port"
closes=
for try in before after; do # on one connection
    if [ $try = after ]; then
        kill -TERM "$slow_pid"
        wait_until 10 grep -q 'stopping when' "$tmp/slow-log" || not_ok "it says for what it waits" "$(cat "$tmp/slow-log")"
    fi
    printf 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n' >&8
    read -r -t 20 -d '}' -u 8 reply
    if [[ $reply != *'200 OK'*'"status":"ok"' ]]; then not_ok "health is told $try a stop" "$reply"; fi
    closes+=$(grep -c '^Connection: close' <<<"$reply")
done
check_equal "a connection that is kept is closed when it stops" "$closes" 01
exec 8>&-
wait "$slow_pid"
check_equal "a stop is in order" "$?" 0
wait "$asking"
answer=$tmp/answer
expect "and the answer is completed before it" 200 'data: [DONE]'
check_equal "by all its tokens" "$(($(grep -c '^data: {' "$answer") >= 16))" 1

expected=$(pieces text)

background "$mesh_node" serve -t 1 -m "$model" --lab pace=20MB/s --join "127.0.0.1:$slow" --listen "127.0.0.1:$(free_port)" \
    ${security[@]+"${security[@]}"} 2>"$tmp/slow-2"
peer_pid=$background_pid
if ! wait_until 60 nodes 2 "$slow"; then not_ok "another slow node joins" "$(cat "$tmp/slow-2")"; fi
api slow-log-2 --to "127.0.0.1:$slow"
slow_pid=$background_pid
http POST /v1/completions "${long/STREAM/true}" &
asking=$!
if ! wait_until 20 requests 1; then not_ok "a request is being answered" "$(cat "$tmp/slow-log-2")"; fi
kill -9 "$peer_pid"
wait "$peer_pid" 2>/dev/null
wait "$asking"
expect "an answer goes on when another member is killed" 200 'data: [DONE]'
check_equal "with the same words" "$(pieces text)" "$expected"
check "the members know" wait_until 20 nodes 1 "$slow"

body='{"prompt":"Once upon a time","max_tokens":300,"ignore_eos":true,"stream":true}'
send "$body"
if ! wait_until 20 requests 1; then not_ok "a request is being answered" "$(cat "$tmp/slow-log-2")"; fi
kill -TERM "$slow_pid"
wait_until 10 grep -q 'stopping when 1' "$tmp/slow-log-2" || not_ok "it says for what it waits" "$(cat "$tmp/slow-log-2")"
kill -TERM "$slow_pid"
wait "$slow_pid"
check_equal "a second signal ends it in order, too" "$?" 0
exec 8>&-
check "without the answer" grep -q 'given up after' "$tmp/slow-log-2"

api two --to "127.0.0.1:$slow" --to "127.0.0.1:$second"
send "$body"
read -r -t 20 -u 8 reply || not_ok "a stream begins" "$(cat "$tmp/slow")"
kill -TERM "$slow_node_pid" # it stays for that request
if ! wait_until 10 grep -q 'leaving when 1 request has' "$tmp/slow"; then not_ok "it begins to leave" "$(cat "$tmp/slow")"; fi
http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":30,"temperature":0}'
expect "a node that leaves refuses a request" 503 'this node is leaving'
expect "which may be sent again" 503 'Retry-After: 1'
http POST /v1/completions '{"prompt":"Once upon a time","max_tokens":30,"temperature":0}'
expect "and is then for another node" 200 '"finish_reason":"length"'
kill -TERM "$slow_node_pid" # at once
timeout 20 cat <&8 >"$tmp/broken"
exec 8>&-
check "a stream that breaks off ends with an error" grep -q '^data: {"error":{.*"code":"unavailable"}}' "$tmp/broken"
check_equal "and is not complete" "$(grep -c 'DONE' "$tmp/broken")" 0

kill -TERM "$api_pid"
wait "$api_pid"
check_equal "without requests it stops at once" "$?" 0
finish
