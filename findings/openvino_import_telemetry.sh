#!/usr/bin/env bash
# `import openvino`, without any call, starts Google Analytics telemetry: it leaves a client id and
# counters under $HOME/intel, asks nobody, and sends an event. CI=true prevents it, and so does
# hiding the package openvino_telemetry (a dependency of openvino) from the import.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q openvino==2026.4.1 numpy==2.4.6

run() {  # NAME CODE [VARIABLE=VALUE]: runs in a HOME of its own, prints the files left there
  mkdir "$folder/$1"
  env -u CI -u TF_BUILD -u JENKINS_URL HOME="$folder/$1" "${3:-_=_}" \
    "$folder/venv/bin/python" -c "$2; import time; time.sleep(2)"
  (cd "$folder/$1" && find . -type f | sort)
}

plain=$(run plain "import openvino")
ci=$(run ci "import openvino" CI=true)
hidden=$(run hidden "import sys; sys.modules['openvino_telemetry'] = None; import openvino")
echo "openvino 2026.4.1, files in a fresh HOME"
echo "import openvino:"; echo "$plain"
echo "CI=true, import openvino:"; echo "${ci:-none}"
echo "openvino_telemetry hidden, import openvino:"; echo "${hidden:-none}"
[ "$plain" = $'./intel/openvino_ga_cid\n./intel/stats' ] && [ -z "$ci" ] && [ -z "$hidden" ]
