#!/bin/bash
# Prometheus scrapes a mesh of three nodes, and the queries of the dashboard return data.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
command -v prometheus >/dev/null || skip_all "Prometheus is not installed (Debian: prometheus)"
command -v python3 >/dev/null || skip_all "there is no python3 to read its answers"

model=node/models/stories-q8_0.gguf
ports=("$(free_port)" "$(free_port)" "$(free_port)")

node() {
    local i=$1
    shift
    background "$mesh_node" serve -m $model -t 1 --listen "127.0.0.1:${ports[i]}" --metrics 127.0.0.1:0 "$@" 2>"$tmp/node$i"
}
has() { "$mesh_node" status --json --to "127.0.0.1:${ports[0]}" 2>/dev/null | grep -q "\"nodes\":$1,"; }
metrics_port() { sed -n 's|^metrics on http://127.0.0.1:\([0-9]*\)/metrics$|\1|p' "$tmp/node$1"; }

node 0
wait_until 20 grep -q -e '^metrics on' -e 'built without' "$tmp/node0"
if grep -q "built without" "$tmp/node0"; then skip_all "mesh-node was built without libmicrohttpd"; fi
node 1 --join "127.0.0.1:${ports[0]}" --lab loss=2%
node 2 --join "127.0.0.1:${ports[0]}"
check "three nodes form a mesh" wait_until 20 has 3

cat >"$tmp/prometheus.yml" <<END
scrape_configs:
  - job_name: mesh
    scrape_interval: 1s
    static_configs:
      - targets: ['127.0.0.1:$(metrics_port 0)', '127.0.0.1:$(metrics_port 1)', '127.0.0.1:$(metrics_port 2)']
END
port=$(free_port)
background prometheus --config.file="$tmp/prometheus.yml" --storage.tsdb.path="$tmp/data" --web.listen-address="127.0.0.1:$port" \
    --log.level=error 2>"$tmp/prometheus"

cat >"$tmp/query.py" <<'END'
import json, sys, urllib.parse, urllib.request

def query(expr):
    url = "http://127.0.0.1:%s/api/v1/query?%s" % (sys.argv[2], urllib.parse.urlencode({"query": expr}))
    return json.load(urllib.request.urlopen(url, timeout=5))["data"]["result"]

if sys.argv[1] == "up":
    sys.exit(0 if len(query("mesh_info")) == 3 and len(query("rate(mesh_uptime_seconds[10s])")) == 3 else 1)
if sys.argv[1] == "value":
    print(query(sys.argv[3])[0]["value"][1])
if sys.argv[1] == "dashboard":
    count = 0
    for panel in json.load(open(sys.argv[3]))["panels"]:
        for target in panel["targets"]:
            expr = target["expr"].replace("$__rate_interval", "10s").replace('job=~"$job"', 'job="mesh"')
            count += 1
            if not query(expr):
                print("no data: " + panel["title"] + ": " + expr)
    if count < 20:
        print("only %d queries" % count)
END
check "Prometheus scrapes all three" wait_until 20 python3 "$tmp/query.py" up "$port"
for _ in 1 2; do
    "$mesh_node" ask --to "127.0.0.1:${ports[2]}" -p "Once upon a time" -n 150 --ignore-eos --temp 0 >/dev/null 2>"$tmp/ask" </dev/null
    sleep 2
done
check "every query of the dashboard can be asked" python3 "$tmp/query.py" dashboard "$port" deploy/grafana-dashboard.json
# Rates over five minutes have data as soon as there are two samples; events may precede the first sample.
check_equal "every query of the dashboard returns data" "$(grep -v '^no data: Events: ' "$out")" ""
value() { python3 "$tmp/query.py" value "$port" "$1"; }
check_equal "Prometheus counts the tokens that were generated" "$(value 'max(mesh_generated_tokens_total)')" 300
check_equal "Prometheus counts both requests, at one node" "$(value 'max(mesh_requests_total)')" 2
finish
