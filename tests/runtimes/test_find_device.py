from __future__ import annotations

import pytest

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_runtimes.table import find_device


def test_onnxruntime_has_the_cpu() -> None:
    assert find_device("onnxruntime", "cpu") == "CPUExecutionProvider"


def test_openvino_names_its_device() -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    assert find_device("openvino", "cpu") == core.get_property("CPU", "FULL_DEVICE_NAME")
    if "NPU" not in core.available_devices:
        with pytest.raises(RuntimeUnavailable) as caught:
            find_device("openvino", "npu")
        assert caught.value.value == "NPU"


def test_torch_devices() -> None:
    torch = pytest.importorskip("torch")
    assert find_device("torch", "cpu") == f"{torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        assert find_device("torch", "cuda") == torch.cuda.get_device_name()
    else:
        with pytest.raises(RuntimeUnavailable) as caught:
            find_device("torch", "cuda")
        assert caught.value.value == "cuda"


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        find_device("openvin", "cpu")
    assert (caught.value.field, caught.value.value) == ("runtime", "openvin")
    assert "'openvino'" in str(caught.value.fix)
    for device in ("cuda", "auto"):
        with pytest.raises(ConfigError) as caught:
            find_device("openvino", device)
        assert (caught.value.field, caught.value.value) == ("device", device)
        assert "cpu, gpu, npu" in str(caught.value.expected)
