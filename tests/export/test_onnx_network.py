"""ONNX back into torch: the same numbers, the same places to quantise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from evface_edge.errors import ExportError, ModelError
from evface_export.graph import to_onnx
from evface_export.onnx_network import from_onnx, last_common_tensor
from evface_export.quantize import HEAD_LAYERS, layer_names, quantize
from evface_training.networks.from_onnx import student_from_onnx
from evface_training.networks.heads import HEADS
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig

SHAPE = (2, 10, 32, 32)


@pytest.fixture(scope="module")
def model(toy: Any) -> bytes:
    return toy.traced()  # type: ignore[no-any-return]


def test_it_computes_what_the_checkpoint_computes(checkpoint: Any, model: bytes) -> None:
    inputs = torch.rand(5, *SHAPE[1:])
    with torch.no_grad():
        for found, expected in zip(
            from_onnx(model)(inputs), checkpoint.network(inputs), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_same_layers_are_quantised(checkpoint: Any, model: bytes) -> None:
    """As of the checkpoint, whose modules say themselves what is backbone and what is head."""
    example = torch.zeros(SHAPE)
    names = layer_names(from_onnx(model), example)
    assert names == layer_names(checkpoint.network, example)
    assert names == [
        "backbone.0",
        "backbone.3",
        "backbone.6.body.0",
        "backbone.6.body.3",
        "add",
        "output of backbone",
        "head.to_bins",
    ]


def test_layers_of_heads_are_called_what_the_heads_call_them() -> None:
    students = [
        Student(StudentConfig(side=32, channels=(16, 16, 16, 16), blocks=(0, 0, 1), head=head))
        for head in HEADS
    ]
    assert {name for student in students for name, _ in student.named_modules()} >= HEAD_LAYERS
    names = layer_names(students[list(HEADS).index("simcc")].eval(), torch.zeros(SHAPE))
    assert [name for name in names if name.startswith("head.")] == ["head.to_bins"]


def test_quantised_it_is_the_checkpoint_quantised(checkpoint: Any, model: bytes) -> None:
    clips = [torch.rand(8, *SHAPE[1:]) * (torch.rand(8, *SHAPE[1:]) < 0.1) for _ in range(4)]
    example = torch.zeros(SHAPE)
    one = quantize(checkpoint.network, example, clips)
    other = quantize(from_onnx(model), example, clips)
    with torch.no_grad():
        torch.testing.assert_close(one(clips[0])[0], other(clips[0])[0], rtol=0, atol=2e-3)


def _one_node(node: onnx.NodeProto, *constants: onnx.TensorProto) -> onnx.ModelProto:
    """x → node → y → Relu → z, so that there is a backbone and a head."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    # The last common tensor is z; what comes before is one part, an Identity the other.
    graph = helper.make_graph([node, helper.make_node("Relu", ["y"], ["z"])], "g", [x], [z])
    graph.initializer.extend(constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


_KERNEL = numpy_helper.from_array(
    np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32), "w"
)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (
            helper.make_node(
                "Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[0, 1, 2, 0], strides=[2, 1]
            ),
            (_KERNEL,),
        ),
        (helper.make_node("SpaceToDepth", ["x"], ["y"], blocksize=2), ()),
        (helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2), ()),
        (helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD"), ()),
        (
            helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear"),
            (numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),),
        ),
        (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2]), ()),
        (helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2]), ()),
        (helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1]), ()),
        (
            helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0),
            (numpy_helper.from_array(np.array([2, 3]), "axes"),),
        ),
        (
            helper.make_node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"]),
            tuple(
                numpy_helper.from_array(np.array(values), name)
                for name, values in (
                    ("starts", [1, -3]),
                    ("ends", [9, 2**62]),
                    ("axes", [-1, 1]),
                    ("steps", [2, 1]),
                )
            ),
        ),
        (
            helper.make_node("Unsqueeze", ["x", "axes"], ["y"]),
            (numpy_helper.from_array(np.array([3, 1]), "axes"),),
        ),
        (
            helper.make_node("Squeeze", ["x", "axes"], ["y"]),
            (numpy_helper.from_array(np.array([0]), "axes"),),
        ),
        (
            helper.make_node("Gather", ["x", "at"], ["y"], axis=2),
            (numpy_helper.from_array(np.array([3, 0]), "at"),),
        ),
        (
            helper.make_node("Gather", ["x", "at"], ["y"], axis=1),
            (numpy_helper.from_array(np.array(2), "at"),),
        ),
        (
            helper.make_node("Clip", ["x", "", "high"], ["y"]),
            (numpy_helper.from_array(np.float32(0.5), "high"),),
        ),
    ],
    ids=lambda value: getattr(value, "op_type", None),
)
def test_operators_against_onnxruntime(node: Any, constants: tuple[Any, ...]) -> None:
    model = _one_node(node, *constants)
    x = np.random.default_rng(1).normal(size=(1, 4, 8, 8)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        found = from_onnx(model.SerializeToString())(torch.from_numpy(x))
    np.testing.assert_allclose(found, session.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "stem", "relations"),
    [
        ("simcc", "conv", 0),
        ("simcc", "patch", 2),
        ("heatmap", "patch", 0),
        ("regression", "conv", 0),
    ],
)
def test_every_kind_of_student(head: Any, stem: Any, relations: int, tmp_path: Path) -> None:
    """What training can make, export can make again from its ONNX, and training can go on with.

    BatchNorm is folded by the export, and unfolded with the statistics of other clips.
    """
    channels = (16, 16, 32, 32) if stem == "conv" else (16, 32, 32)
    config = StudentConfig(
        side=64, stem=stem, head=head, channels=channels, blocks=(0, 1, 1), relations=relations
    )
    network, example = Student(config), torch.rand(4, 10, 64, 64)
    with torch.no_grad():
        for weights in network.head.parameters():  # none like another: a tracer would join them
            weights.add_(0.05 * torch.randn_like(weights))
        network(torch.rand(8, 10, 64, 64))  # statistics of its own
    network.eval().head.sigma_gain.fill_(0.7)
    path = tmp_path / "student.onnx"
    path.write_bytes(to_onnx(network, example, "events", ["landmarks", "log_sigma", "presence"]))
    rebuilt = from_onnx(path.read_bytes())
    student = student_from_onnx(path, config, torch.rand(40, 10, 64, 64))
    assert student.training
    with torch.no_grad():
        expected = network(example)
        for one in (rebuilt, student.eval()):
            for found, right in zip(one(example), expected, strict=True):
                torch.testing.assert_close(found, right, rtol=1e-3, atol=1e-4)
    assert layer_names(rebuilt, example) == layer_names(network, example)


def test_the_backbone_ends_where_all_ways_meet_last(model: bytes) -> None:
    graph = onnx.load_from_string(model).graph
    features = last_common_tensor(graph)
    users = {node.op_type for node in graph.node if features in node.input}
    assert users == {"Conv", "ReduceMean"}  # points and presence go their own ways from here


def test_what_is_not_ours_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        from_onnx(b"\xff\xff no model", path=Path("m.onnx"))
    assert caught.value.path == Path("m.onnx")
    unknown = _one_node(helper.make_node("HardSwish", ["x"], ["y"])).SerializeToString()
    with pytest.raises(ModelError) as caught:
        from_onnx(unknown)
    assert (caught.value.field, caught.value.value) == ("operator", "HardSwish")
    mode = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="cubic")
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    with pytest.raises(ModelError) as caught:
        from_onnx(_one_node(mode, scales).SerializeToString())
    assert (caught.value.field, caught.value.value) == ("operator", "Resize")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "abc"]
    add = helper.make_node("Add", ["a", "b"], ["c"])
    two = helper.make_model(helper.make_graph([add], "g", values[:2], values[2:]))
    with pytest.raises(ModelError) as caught:
        from_onnx(two.SerializeToString())
    assert (caught.value.field, caught.value.value) == ("inputs", ("a", "b"))
    separate = [
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Neg", ["a"], ["c"]),
    ]
    forked = helper.make_model(helper.make_graph(separate, "g", values[:1], values[1:]))
    with pytest.raises(ModelError) as caught:
        from_onnx(forked.SerializeToString())
    assert caught.value.field == "backbone"


def test_nothing_to_quantise_is_an_error() -> None:
    class Plain(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu()

    with pytest.raises(ExportError) as caught:
        quantize(Plain(), torch.zeros(SHAPE), [])
    assert caught.value.field == "backbone"
