#!/bin/bash
# `mesh-node bench --quick`: all rows are printed and are JSON; no speed is asserted.
. tests/run/lib.sh

# Every line of $out is an object, and those of EVENT have all KEYS.
rows_have() {
    local event=$1 key
    shift
    grep -q "\"event\":\"$event\"" "$out" || return 1
    for key in "$@"; do
        grep "\"event\":\"$event\"" "$out" | grep -qv "\"$key\":" && return 1
    done
    return 0
}
lines_are_objects() { ! grep -qvE '^\{"schema_version":1,"event":"[a-z_]+",.*\}$' "$out"; }
is_json() {
    command -v python3 >/dev/null || return 0
    python3 -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])]' "$out"
}
verdict() {
    local sentence=$1
    shift
    if "$@"; then ok "$sentence"; else not_ok "$sentence" "$(show_run)"; fi
}

# ends_well PART: it measures something, or says that it was skipped
ends_well() {
    local expected=0
    run "$mesh_node" bench "$1" --quick --json
    if ! grep -qv '"event":"skipped"' "$out"; then expected=77; fi
    check_equal "bench $1 --quick ends well" "$code" "$expected"
}

check "bench kernels --quick ends well" "$mesh_node" bench kernels --quick --json
verdict "every line is an object" lines_are_objects
verdict "every line is JSON" is_json
verdict "a kernel's row has its speed beside that of plain reads" rows_have kernel type kernel threads read_gb_per_s decode_gb_per_s \
    decode_read_ratio decode_read_ratio_min decode_read_ratio_max prompt_gmac_per_s runs
check_equal "every type has a row" "$(grep -c '"event":"kernel"' "$out")" 13

check "one type alone can be measured" "$mesh_node" bench kernels --quick --json --type Q4_K --kernel scalar
check_equal "it has one row" "$(grep -c '"type":"q4_k","kernel":"scalar"' "$out")" 1

check "bench decode --quick ends well" "$mesh_node" bench decode --quick --json
verdict "a long context stands beside a short one" rows_have decode_context type positions few_positions few_ratio
verdict "a row of decode has tokens and bytes per second" rows_have decode model type kernel threads weight_bytes_per_token read_gb_per_s \
    decode_gb_per_s decode_read_ratio gen_tok_per_s prompt_tok_per_s

check "bench load --quick ends well" "$mesh_node" bench load --quick --json
verdict "the time to the first token stands beside plain reads" rows_have load nodes threads file first_token_ms read_ms read_ratio \
    read_small_ms
verdict "the memory of nodes stands beside the plan" rows_have load_memory nodes resident_mb peak_mb planned_mb planned_ratio

check "bench mesh --quick ends well" "$mesh_node" bench mesh --quick --json
verdict "a row of a mesh stands beside one process" rows_have mesh nodes gen_tok_per_s one_process_tok_per_s one_process_ratio \
    bytes_sent_per_token packets_sent_per_token send_calls_per_token receive_calls_per_token \
    wait_calls_per_token yield_calls_per_token
if grep -q '"part":"seal","reason":"built without libsodium"' "$out"; then
    skip "a row of sealing has what a datagram costs" "built without libsodium"
else
    verdict "a row of sealing has what a datagram costs" rows_have seal security bytes seal_ns open_ns seal_mb_per_s open_mb_per_s
    verdict "a sealed mesh stands beside a plain one" rows_have mesh_seal nodes sealed_tok_per_s plain_tok_per_s plain_ratio
fi
if grep -q '"part":"burst"' "$out"; then
    skip "a burst that is cut stands beside single datagrams" "the kernel does not cut messages"
else
    verdict "a burst that is cut stands beside single datagrams" rows_have burst datagrams bytes each_us as_one_us each_ratio
fi
if grep -q '"part":"exchange"' "$out"; then
    skip "the way of a last tile stands beside a datagram's" "one processor"
else
    verdict "the way of a last tile stands beside a datagram's" rows_have exchange bytes datagram_bytes security exchange_us one_way_us \
        one_way_ratio
fi
verdict "round trips are told" rows_have udp_round_trip bytes receiver round_trip_us round_trip_us_min

check "bench topology --quick ends well" "$mesh_node" bench topology --quick --json
verdict "a star and whole matrices stand beside the mesh" rows_have topology lab dilation nodes topology pipeline utilisation \
    gen_tok_per_s mesh_ratio packets_sent_per_token
verdict "and the mesh that sends to a group" grep -q '"topology":"mesh","pipeline":"on","multicast":"239[.0-9]*:7413","utilisation"' "$out"

check "bench virtual --quick ends well" "$mesh_node" bench virtual --quick --json --datagram-ns 2400,650,300,900,400
verdict "simulated nodes have a row for each way" rows_have virtual model network nodes topology pipeline utilisation sending receiving \
    waiting_attention waiting_candidates gen_tok_per_s packets_sent_per_token
verdict "what a datagram costs is told" rows_have datagram_costs source send_call_ns receive_each_ns
cp "$out" "$tmp/first"
check "bench virtual again ends well" "$mesh_node" bench virtual --quick --json --datagram-ns 2400,650,300,900,400
verdict "with given costs its figures are the same" cmp -s "$tmp/first" "$out"
check_exit "a wrong number of datagram costs is a usage error" 2 "give five numbers" "$mesh_node" bench virtual --quick --datagram-ns 1,2,3

check "bench flood --quick ends well" "$mesh_node" bench flood --quick --json
verdict "a cluster under a flood stands beside one that is spared" rows_have flood nodes junk datagrams_per_s flooded_tok_per_s \
    elsewhere_tok_per_s elsewhere_ratio
if grep -q '"part":"refuse"' "$out"; then
    skip "what a refusal costs is told for each kind of junk" "built without libsodium"
else
    verdict "what a refusal costs is told for each kind of junk" rows_have refuse junk refuse_ns refuse_ns_min
fi

ends_well failover
if grep -q '"event":"skipped"' "$out"; then
    skip "the death of a node is told step by step" "$(grep -o '"reason":"[^"]*"' "$out")"
else
    verdict "the death of a node is told step by step" rows_have failover nodes detect_ms agree_ms detect_agree_ms load_ms recompute_ms \
        next_token_ms
    verdict "what a survivor loads stands beside loading all of it" rows_have reload model survivor file_ms kept_ms \
        kept_ratio copied_percent
fi

ends_well telemetry
if grep -q '"event":"skipped"' "$out"; then
    skip "a cluster that is watched stands beside one that is not" "$(grep -o '"reason":"[^"]*"' "$out")"
else
    verdict "a cluster that is watched stands beside one that is not" rows_have telemetry nodes reports_per_s watched_tok_per_s \
        unwatched_ratio watched_cpu_ms_per_token unwatched_cpu_ratio watched_main_ms_per_s unwatched_main_ms_per_s watched_cost_percent
fi

ends_well record
if grep -q '"event":"skipped"' "$out"; then
    skip "nodes that record stand beside nodes that do not" "$(grep -o '"reason":"[^"]*"' "$out")"
else
    verdict "nodes that record stand beside nodes that do not" rows_have record payloads nodes lost plain_tok_per_s \
        plain_ratio recorder_ms_per_s bytes_per_token entries_per_token
    verdict "what one call costs is told" rows_have record_call payloads caller_ns recorder_ns datagram_us datagrams_per_s_of_3_percent
fi

ends_well multicast
if grep -q '"event":"skipped"' "$out"; then
    skip "a tile to a group stands beside a tile to each" "$(grep -o '"reason":"[^"]*"' "$out")"
else
    verdict "a tile to a group stands beside a tile to each" rows_have multicast nodes device unicast_packets unicast_us multicast_us
fi

humble=()
if [ "$(id -u)" -eq 0 ]; then humble=(setpriv --bounding-set=-sys_admin); fi
check_exit "hosts on a bridge, which root alone can make, are skipped" 77 "bench multicast: nothing was measured: stdout says why: " \
    "${humble[@]}" "$mesh_node" bench multicast --quick

check_exit "a part of which nothing can be measured is skipped" 77 "bench failover: nothing was measured: stdout says why: " \
    env -C "$tmp" "$(realpath "$mesh_node")" bench failover --quick
check_exit "an unknown part is a usage error" 2 "no such part" "$mesh_node" bench kernel
check_exit "a type is of the parts that measure one" 2 "bench flood: --type is for kernels" "$mesh_node" bench flood --type q8_0
check_exit "costs of datagrams are of simulated meshes" 2 "bench kernels: --datagram-ns is for virtual" \
    "$mesh_node" bench kernels --datagram-ns 1,2,3,4,5
check_exit "an unknown type is a usage error" 2 "no such type" "$mesh_node" bench --type q9
check_exit "an unknown kernel is a usage error" 2 "no such kernel" "$mesh_node" bench --kernel mmx
finish
