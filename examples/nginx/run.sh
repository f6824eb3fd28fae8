#!/usr/bin/env bash
# Start a broker, three nodes and nginx on loopback. Ctrl-C stops them. Usage: ./run.sh [address|tag|round-robin]
set -euo pipefail
cd "$(dirname "$0")"

mode=${1:-tag}
port=${PORT:-8080}             # nginx
node_port=${NODE_PORT:-8001}   # the first node; the others use the next ports
broker_port=${BROKER_PORT:-5555}
export ZMQIO_ADAPTER=tcp://127.0.0.1:$broker_port
PATH=$PATH:/usr/sbin # Debian installs nginx there

pids=()
folder=$(mktemp -d)
stop() {
    trap - EXIT
    kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 0' INT TERM

zmqio broker --bind "$ZMQIO_ADAPTER" --log-level warning &
pids+=($!)

nodes=()
for number in 0 1 2; do
    ZMQIO_NODE_TAG=nod$number uvicorn app:app --port $((node_port + number)) --log-level warning \
        --ws zmqio.uvicorn:WebSocketProtocol --http zmqio.uvicorn:HttpProtocol &
    pids+=($!)
    nodes+=(--node "nod$number=127.0.0.1:$((node_port + number))")
done

zmqio nginx-conf --mode "$mode" "${nodes[@]}" --listen "127.0.0.1:$port" --clients 500 --run-dir "$folder" >"$folder/nginx.conf"
nginx -e stderr -g 'daemon off;' -c "$folder/nginx.conf" &
pids+=($!)

echo "Open http://127.0.0.1:$port in two windows (mode $mode, configuration in $folder/nginx.conf). Ctrl-C stops everything."
wait -n # the first process that ends stops all others
