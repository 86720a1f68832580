from __future__ import annotations

import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_runtimes.table import find_device


def test_the_cpu_of_onnxruntime_is_there() -> None:
    assert find_device("onnxruntime", "cpu") == "CPUExecutionProvider"


def test_openvino_names_its_device() -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    assert find_device("openvino", "cpu") == core.get_property("CPU", "FULL_DEVICE_NAME")
    if "NPU" not in core.available_devices:
        with pytest.raises(RuntimeUnavailable, match="finds no NPU"):
            find_device("openvino", "npu")


def test_torch_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    assert find_device("torch", "cpu") == f"{torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        assert find_device("torch", "cuda") == torch.cuda.get_device_name()
    else:
        with pytest.raises(RuntimeUnavailable, match="no CUDA device"):
            find_device("torch", "cuda")


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match="nearest: openvino"):
        find_device("openvin", "cpu")
    with pytest.raises(ConfigError, match="cpu, gpu, npu"):
        find_device("openvino", "cuda")
    with pytest.raises(ConfigError, match="cpu, gpu, npu"):
        find_device("openvino", "auto")
