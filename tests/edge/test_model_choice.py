"""Which file and which runtime a bundled model gets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from evface_edge.errors import ConfigError, ModelError, RuntimeUnavailable
from evface_edge.models import choice, files_of, find_model
from evface_edge.models.choice import FASTEST, OTHER, X86, X86_VNNI, choose, this_processor
from evface_edge.predictor import Predictor
from evface_runtimes.table import RUNTIMES


def _without(monkeypatch: pytest.MonkeyPatch, *runtimes: str) -> None:
    installed = choice._is_installed
    monkeypatch.setattr(
        choice, "_is_installed", lambda name: name not in runtimes and installed(name)
    )


@pytest.fixture(autouse=True)
def _all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_is_installed", lambda name: True)
    monkeypatch.setattr(choice, "_has_gpu_build", lambda: False)


@pytest.mark.parametrize(
    ("processor", "runtime", "suffix"),
    [
        (X86_VNNI, "litert", ".tflite"),
        (X86, "onnxruntime", ".onnx"),
        (OTHER, "onnxruntime", ".onnx"),
    ],
)
def test_the_fastest(processor: str, runtime: str, suffix: str) -> None:
    for model in ("evface-s", "evface-n-int8"):
        chosen = choose(model, processor=processor)
        assert (chosen.runtime, chosen.path.suffix) == (runtime, suffix)
        assert processor in chosen.reason


def test_the_next_one_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "litert")
    chosen = choose("evface-s", processor=X86_VNNI)
    assert (chosen.runtime, chosen.path) == ("onnxruntime", find_model("evface-s"))
    assert "evface-edge[litert]" in chosen.reason


def test_a_named_runtime_is_kept() -> None:
    for processor in FASTEST:
        for runtime in ("onnxruntime", "openvino", "litert"):
            chosen = choose("evface-s", runtime=runtime, processor=processor)
            assert (chosen.runtime, chosen.reason) == (runtime, "")
            assert chosen.path == find_model("evface-s", runtime=runtime)


def test_nothing_to_choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "mine.onnx"
    copied.write_bytes(find_model("evface-n").read_bytes())
    for model in ("evface-s-fp32", copied):
        assert choose(model, processor=X86_VNNI) == choice.Choice(find_model(model))
    assert choose("evface-s", device="cuda", processor=X86_VNNI).runtime is None
    monkeypatch.setattr(choice, "_has_gpu_build", lambda: True)
    assert choose("evface-s", processor=X86_VNNI).runtime is None
    assert choose("evface-s", device="cpu", processor=X86_VNNI).runtime == "litert"


def test_files_of_a_model() -> None:
    assert [path.suffix for path in files_of("evface-s")] == [".onnx", ".tflite"]
    assert files_of("evface-s") == files_of("evface-s-int8")
    assert [path.suffix for path in files_of("evface-s-fp32")] == [".onnx"]
    assert files_of("evface-x") == []
    with pytest.raises(ModelError) as caught:
        find_model("evface-s-fp32", runtime="litert")
    assert (caught.value.field, caught.value.value, caught.value.expected) == (
        "runtime",
        "litert",
        ".tflite",
    )


def test_only_known_runtimes_are_in_the_table() -> None:
    known = {spec.name for spec in RUNTIMES}
    assert all(set(order) <= known and "onnxruntime" in order for order in FASTEST.values())


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "fpu avx2 avx512f avx512_vnni", X86_VNNI),
        ("x86_64", "fpu avx2 avx_vnni", X86_VNNI),
        ("x86_64", "fpu avx2 avx512f", X86),
        ("AMD64", None, X86),
        ("aarch64", "asimddp i8mm", OTHER),
    ],
)
def test_processors(
    machine: str,
    flags: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    if flags is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nx: y\n")
    assert this_processor(tmp_path) == expected


def test_the_predictor_says_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "this_processor", lambda: X86)
    with Predictor("evface-n") as predictor:
        assert "on onnxruntime, cpu" in predictor.describe()
        assert X86 in predictor.describe()
    with Predictor("evface-n", runtime="onnxruntime") as predictor:
        assert predictor.describe().endswith("on onnxruntime, cpu")
    with pytest.raises(ConfigError):
        Predictor("evface-n", runtime="onnxrt")
    monkeypatch.setattr(choice, "this_processor", lambda: X86_VNNI)
    if importlib.util.find_spec("ai_edge_litert") is None:
        with pytest.raises(RuntimeUnavailable):
            Predictor("evface-n")
        return
    with Predictor("evface-n") as predictor:
        assert "on litert, cpu" in predictor.describe()
        assert X86_VNNI in predictor.describe()
