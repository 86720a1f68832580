#!/usr/bin/env bash
# On Arm, OpenVINO's CPU plugin does not compile a small INT8 network (QuantizeLinear and
# DequantizeLinear): convolution with stride 2, convolution, transpose, matrix product with
# dequantised weights. It compiles on x86-64, with stride 1, without a bias, and with float weights
# of the product; ONNX Runtime runs it everywhere.
# Needs an Arm machine with Python 3.11, or root, qemu-user-static and mmdebstrap.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages=(openvino==2026.4.1 numpy==2.4.6)
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "${packages[@]}" onnx==1.23.2
if [ "$(uname -m)" = aarch64 ]; then
  arm=("$folder/venv/bin/python")
else
  command -v qemu-aarch64-static mmdebstrap >/dev/null || {
    echo "not an Arm machine: apt-get install qemu-user-static mmdebstrap" >&2
    exit 2
  }
  root=$folder/root
  mmdebstrap --quiet --mode=root --variant=extract --architectures=arm64 \
    --include=python3.11,libgomp1,libstdc++6 bookworm "$root"
  "$folder/venv/bin/pip" install -q --target "$root/opt/site" --python-version 3.11 \
    --platform manylinux_2_35_aarch64 --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 --only-binary=:all: "${packages[@]}"
  arm=(env PYTHONPATH="/opt/site" qemu-aarch64-static -cpu cortex-a72 -L "$root"
    "$root/usr/bin/python3.11")
fi

cat > "$folder/make.py" <<'PYTHON'
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
CHANNELS, OUT = 8, 10


def model(stride=2, bias=True, float_product=False):
    nodes, constants = [], []

    def constant(value):
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(op, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def quantised(value):
        scale, zero = constant(np.float32(0.02)), constant(np.uint8(0))
        return node("DequantizeLinear", [node("QuantizeLinear", [value, scale, zero]), scale, zero])

    def weights(*shape):
        scale = constant(random.uniform(0.005, 0.02, shape[0]).astype(np.float32))
        integers = constant(random.integers(-60, 60, shape).astype(np.int8))
        zeros = constant(np.zeros(shape[0], np.int8))
        return node("DequantizeLinear", [integers, scale, zeros], axis=0)

    def conv(value, stride):
        inputs = [quantised(value), weights(CHANNELS, CHANNELS, 3, 3)]
        if bias:
            inputs.append(constant(random.normal(size=CHANNELS).astype(np.float32)))
        return node("Conv", inputs, pads=[1] * 4, strides=[stride] * 2, kernel_shape=[3, 3])

    found = conv(conv("x", stride), 1)
    found = node("Reshape", [found, constant(np.array([-1, CHANNELS, 16]))])
    found = quantised(node("Transpose", [found], perm=[0, 2, 1]))
    if float_product:
        product = constant(random.normal(size=(CHANNELS, OUT)).astype(np.float32))
    else:
        product = node("Transpose", [weights(OUT, CHANNELS)], perm=[1, 0])
    found = node("MatMul", [found, product])
    side = 4 * stride
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", CHANNELS, side, side])],
        [helper.make_tensor_value_info(found, TensorProto.FLOAT, ["n", 16, OUT])],
        constants,
    )
    opset = [helper.make_opsetid("", 20)]
    whole = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(whole, full_check=True)
    return whole


onnx.save(model(), f"{sys.argv[1]}/1_int8.onnx")
onnx.save(model(stride=1), f"{sys.argv[1]}/2_stride_1.onnx")
onnx.save(model(bias=False), f"{sys.argv[1]}/3_no_bias.onnx")
onnx.save(model(float_product=True), f"{sys.argv[1]}/4_float_product.onnx")
PYTHON
cat > "$folder/compile.py" <<'PYTHON'
import pathlib
import sys

sys.modules["openvino_telemetry"] = None
import openvino

core = openvino.Core()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    try:
        core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        print(path.stem, "compiles")
    except RuntimeError as error:
        reason = [line for line in str(error).splitlines() if line.strip()][-1]
        print(path.stem, "does not compile:", reason)
PYTHON
"$folder/venv/bin/python" "$folder/make.py" "$folder"
x86=$("$folder/venv/bin/python" "$folder/compile.py" "$folder")
found=$("${arm[@]}" "$folder/compile.py" "$folder")
echo "OpenVINO 2026.4.1 on this machine, $(uname -m):"; echo "$x86"
echo "on aarch64:"; echo "$found"
[[ $found == "1_int8 does not compile: "*constant_fold* ]]
[ "$(grep -c ' compiles$' <<<"$found")" = 3 ]
[ "$(uname -m)" = aarch64 ] || [ "$(grep -c ' compiles$' <<<"$x86")" = 4 ]
