#!/usr/bin/env bash
# onnxruntime's CPU wheel for Linux collects telemetry by default: a device id and a database of
# events under $HOME/.cache/Microsoft/DeveloperTools/.onnxruntime. Calling
# disable_telemetry_events() right after the import is too late for the files; the environment
# variable ORT_DISABLE_TELEMETRY=1, set before the import, prevents them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6

cat > "$folder/run.py" <<'PYTHON'
import sys
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

import onnxruntime as ort

if "disable" in sys.argv:
    ort.disable_telemetry_events()
tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", tensor[:1], tensor[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.ones(1, np.float32)})[0] == 1
time.sleep(3)
PYTHON

run() {  # NAME [VARIABLE=VALUE] [ARGUMENT]: runs in a HOME of its own, prints the files left there
  local name=$1 variable=${2:-_=_} argument=${3:-}
  mkdir "$folder/$name"
  env -u ORT_DISABLE_TELEMETRY HOME="$folder/$name" "$variable" \
    "$folder/venv/bin/python" "$folder/run.py" $argument
  (cd "$folder/$name" && find . -type f | sort)
}

expected='./.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid
./.cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db'
default=$(run default)
called=$(run called _=_ disable)
variable=$(run variable ORT_DISABLE_TELEMETRY=1)
echo "onnxruntime 1.31.1, files in a fresh HOME after one inference"
echo "by default:"; echo "$default"
echo "disable_telemetry_events() after the import:"; echo "$called"
echo "ORT_DISABLE_TELEMETRY=1 before the import:"; echo "${variable:-none}"
[ "$default" = "$expected" ] && [ "$called" = "$expected" ] && [ -z "$variable" ]
