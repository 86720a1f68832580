"""Write evface_edge/data/matmul_*.onnx: graphs of one matrix product, for `bench.peak`.

python tools/make_matmul_models.py  (needs the extra `export`)
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

DATA = Path(__file__).parents[1] / "evface_edge" / "data"
#: Precision → operator and types of a, b and their product.
PRODUCTS = {
    "fp32": ("MatMul", TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT),
    "int8": ("MatMulInteger", TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32),
}


def matmul_model(precision: str) -> onnx.ModelProto:
    """Return a graph c = a @ b of any size."""
    operator, *types = PRODUCTS[precision]
    shapes = (["m", "k"], ["k", "n"], ["m", "n"])
    a, b, c = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in zip("abc", types, shapes, strict=True)
    )
    node = helper.make_node(operator, ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", [a, b], [c])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="evface-edge"
    )
    model.ir_version = 8  # the oldest that the supported versions of onnxruntime share
    return model


def main() -> None:
    for precision in PRODUCTS:
        onnx.save(matmul_model(precision), DATA / f"matmul_{precision}.onnx")


if __name__ == "__main__":
    main()
