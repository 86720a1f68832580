#!/usr/bin/env bash
# Run the whole benchmark on a Jetson, unattended, and pack the results into one archive.
#
#     bash examples/jetson_benchmark.sh FOLDER_WITH_MODELS [RESULTS]
#
# FOLDER_WITH_MODELS: written by `evface-edge export` (trt-fp16 and trt-int8, and onnx for the CPU).
# Needs JetPack 6 or later and `pip install 'evface-edge[report]'`; see
# docs/reference/runtimes.md. Set power mode and clocks first, as this script leaves them alone:
#
#     sudo nvpmodel -m 0 && sudo jetson_clocks
#
# Takes about an hour; with SECONDS_EACH=1 ROUNDS=1 before the command, some minutes.
#
# Not tested on a Jetson. A step that fails is recorded, and the others run all the same.
set -uo pipefail

models=${1:?usage: jetson_benchmark.sh FOLDER_WITH_MODELS [RESULTS]}
results=${2:-evface-jetson-$(date +%Y%m%d-%H%M%S)}
seconds=${SECONDS_EACH:-10}
rounds=${ROUNDS:-5}
mkdir -p "$results" || exit 1
failed=0

step() { # NAME COMMAND...: its output goes to NAME.log
    local name=$1 code
    shift
    echo "$name: $*"
    "$@" >"$results/$name.log" 2>&1
    code=$?
    echo "$name: exit $code" | tee -a "$results/steps.txt"
    [ "$code" -eq 0 ] || failed=$((failed + 1))
}

facts() {
    cat /etc/nv_tegra_release
    tr -d '\0' </proc/device-tree/model
    echo
    nvpmodel -q
    jetson_clocks --show
    python3 -m pip freeze
}

shopt -s nullglob
step machine facts
for onnx in "$models"/*trt-*.onnx; do
    [ -f "${onnx%.onnx}.engine" ] || step "build-$(basename "$onnx" .onnx)" evface-edge build-engine "$onnx"
done
engines=("$models"/*.engine)
networks=("${engines[@]}")
for onnx in "$models"/*.onnx; do
    case $onnx in *trt-*) ;; *) networks+=("$onnx") ;; esac
done
[ ${#networks[@]} -gt 0 ] || networks=(evface-s-fp32 evface-s-int8)

if command -v tegrastats >/dev/null; then
    tegrastats --interval 200 --logfile "$results/tegrastats.log" &
    watcher=$!
    trap 'kill "$watcher" 2>/dev/null' EXIT
fi
step bench evface-edge bench "${networks[@]}" --seconds "$seconds" --rounds "$rounds" \
    --repeat-check -o "$results"
step compare evface-edge compare "${networks[@]}" --seconds "$seconds" -o "$results"
step demo evface-edge demo -o "$results/demo"

tar -czf "$results.tar.gz" -C "$(dirname "$results")" "$(basename "$results")"
echo "results: $results.tar.gz ($failed steps failed)"
