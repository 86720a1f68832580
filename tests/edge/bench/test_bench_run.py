"""A complete benchmark with fake workers, and one real worker."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.bench.cases import Case, cases, model_paths, thread_counts
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.multiply_adds import count_macs, mega_macs
from evface_edge.bench.output import csv_text, text_table, write_bench
from evface_edge.bench.report import as_text, not_measured
from evface_edge.bench.run import Effort, run_benchmark, run_worker
from evface_edge.bench.stages import STAGES, StageClock, stage_events
from evface_edge.card_file import read_card
from evface_edge.cli import main
from evface_edge.errors import ConfigError, ModelError
from evface_edge.geometry import SensorSize
from evface_edge.models import find_model

INT8, FP32 = find_model("evface-s-int8"), find_model("evface-s-fp32")


def case(name: str, runtime: str = "onnxruntime", device: str = "cpu", threads: int = 1) -> Case:
    path = FP32 if "fp32" in name else INT8
    return Case(name, str(path), name.rpartition("-")[2], runtime, device, threads)


class Workers:
    """Answers like a worker and stores the requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        kind, name = request["kind"], Path(request.get("path", "-")).stem
        self.requests.append(f"{kind} {name} {request.get('device', '')}".strip())
        if kind == "peak":
            return {"status": "ok", "tried": {"a fp32": 100.0, "a int8": 400.0, "b int8": 500.0}}
        if kind == "ratios":
            times = [3.0 if "fp32" in case["path"] else 1.0 for case in request["cases"]]
            return {"status": "ok", "ratios": [value / times[0] for value in times]}
        if request["device"] == "cuda":
            return {"status": "absent", "reason": "no such GPU"}
        if kind == "stages":
            each = {stage: [1.0, 2.0, 3.0] for stage in STAGES}
            # 20 ns for each event of the 10 ms, half of them in each of two stages.
            event_ms = 1.0 + 10e-6 * 1e4 * request["mev_per_s"]
            cpu = {stage: [event_ms] * 3 for stage in ("window", "representation")}
            return {
                "status": "ok",
                "stages_ms": each,
                "total_ms": [5.0, 10.0, 15.0],
                "stages_cpu_ms": each | cpu,
                "total_cpu_ms": [4.0] * 3,
                "window_events": [100, 300, 200],
                "instants": 3,
                "with_face": 3,
                "mev_per_s": 4.0,
            }
        slow = 2.0 if "fp32" in name else 1.0
        return {
            "status": "ok",
            "runs_on": "x",
            "base_mb": 30.0,
            "peak_mb": 50.0,
            "load_ms": 7.0,
            "first_ms": 3.0,
            "samples_ms": [slow * value for value in (1.0, 1.0, 1.0, 1.2)],
            "energy_j": 0.008,
            "energy_of": "a meter",
        }


def test_every_case_runs_in_every_round() -> None:
    workers = Workers()
    chosen = [
        case("evface-s-fp32"),
        case("evface-s-int8"),
        case("evface-s-fp32", device="cuda"),
        case("evface-s-int8", device="cuda"),
    ]
    found = run_benchmark(chosen, Effort(rounds=2, end_to_end=False), worker=workers)
    turn = ["peak -", "network evface-s-fp32 cpu", "network evface-s-int8 cpu"]
    # An absent device is tried once.
    assert workers.requests == [*turn, "network evface-s-fp32 cuda", *turn, "ratios -"]
    slow, fast, *rest = found["network"]
    assert [row["ratio"] for row in found["network"]] == [1.0, pytest.approx(1 / 3), None, None]
    assert [row["status"] for row in rest] == ["absent", "absent"]
    assert not_measured(found) == ["onnxruntime cuda: no such GPU"]
    assert (slow["fast_ms"], fast["fast_ms"], fast["samples"]) == (2.0, 1.0, 8)
    assert fast["per_s"] == pytest.approx(1000 / 1.05)
    assert fast["energy_mj"] == pytest.approx(1e3 * 0.016 / 8)
    assert (fast["peak_mb"], fast["network_mb"]) == (50, 20)
    macs = fast["mega_macs"]
    assert fast["gops"] == pytest.approx(2 * macs)  # in 1 ms
    assert fast["fraction_of_peak"] == pytest.approx(2 * macs / 500)
    assert slow["fraction_of_peak"] == pytest.approx(slow["mega_macs"] / 100)
    json.dumps(found, allow_nan=False)


def test_tables_and_files(tmp_path: Path) -> None:
    chosen = [case("evface-s-fp32"), case("evface-s-int8")]
    found = run_benchmark(chosen, Effort(rounds=1), worker=Workers())
    assert len(found["end_to_end"]) == 2 * 2 * 3
    text = as_text(found)
    line = next(line for line in text.splitlines() if line.startswith("evface-s-int8"))
    assert line.split()[:4] == ["evface-s-int8", "onnxruntime", "cpu", "1"]
    assert line.split()[-1] == "3.00"  # × fp32, interleaved
    names = [path.name for path in write_bench(found, tmp_path)]
    assert names == ["bench.json", "bench.csv", "end_to_end.csv"]
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    rows = list(csv.DictReader(io.StringIO((tmp_path / "end_to_end.csv").read_text())))
    assert [row["p50_ms"] for row in rows] == ["10.0"] * 12
    assert [row["window_p95_ms"] for row in rows] == ["2.9"] * 12
    # There is no rate before the first one of each sensor.
    table = text.partition("ns per extra event")[2].splitlines()[1:13]
    assert [line.split()[-2:] for line in table] == [
        ["2.5", "–"],
        ["2.5", "20.0"],
        ["2.5", "20.0"],
    ] * 4


def test_no_ratios_when_their_worker_fails() -> None:
    class NoRatios(Workers):
        def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
            failed = {"status": "failed", "reason": "out of memory"}
            return failed if request["kind"] == "ratios" else super().__call__(request)

    lines: list[str] = []
    chosen = [case("evface-s-fp32"), case("evface-s-int8")]
    effort = Effort(rounds=1, end_to_end=False)
    found = run_benchmark(chosen, effort, worker=NoRatios(), report=lines.append)
    assert "out of memory" in lines[-1]
    assert [row["ratio"] for row in found["network"]] == [None, None]
    table = [line for line in as_text(found).splitlines() if line.startswith("evface-s-")]
    assert [line.split()[-1] for line in table] == ["–", "–"]


def test_a_worker_that_fails_gives_the_reason() -> None:
    answer = run_worker({"kind": "no such kind"})
    assert answer["status"] == "failed"
    assert "KeyError" in answer["reason"]
    answer = run_worker(
        {"kind": "stages", "path": "gone.onnx", "width": 346, "height": 260, "mev_per_s": 0.1}
        | {"runtime": "onnxruntime", "device": "cpu", "threads": 1, "window_events": None}
    )
    assert answer["status"] == "failed"
    assert "gone.onnx" in answer["reason"]


def test_a_real_worker(tmp_path: Path) -> None:
    tensor = tmp_path / "tensor.npy"
    np.save(tensor, np.zeros((1, 10, 128, 128), np.float32))
    request = {"kind": "network", "path": str(INT8), "runtime": "onnxruntime", "threads": 1}
    request |= {"input": "events", "tensor": str(tensor), "seconds": 0.01, "warm_up": 1}
    answer = run_worker({**request, "device": "cpu"})
    assert answer["status"] == "ok"
    assert min(answer["samples_ms"]) > 0
    assert answer["first_ms"] > 0
    assert answer["peak_mb"] > answer["base_mb"] > 0
    both = [{**request, "device": "cpu"}, {**request, "device": "cpu", "path": str(FP32)}]
    together = run_worker({"kind": "ratios", "cases": both, "seconds": 0.1})
    assert together["ratios"][0] == 1
    assert len(together["ratios"]) == 2
    assert together["ratios"][1] > 0
    stages = {"kind": "stages", "width": 346, "height": 260, "mev_per_s": 1.0}
    few = run_worker({**request, **stages, "device": "cpu", "window_events": 500})
    assert few["status"] == "ok"
    assert len(few["window_events"]) == len(few["total_ms"]) == few["instants"]
    assert max(few["window_events"]) == 500
    absent = run_worker({**request, "device": "tensorrt"})
    assert absent["status"] == "absent"
    assert "TensorrtExecutionProvider" in absent["reason"]


def test_multiply_adds_of_operators_and_of_both_precisions() -> None:
    def entry(operator: str, inputs: list[list[int]], output: list[int]) -> dict[str, Any]:
        shapes = {"input_type_shape": [{"float": shape} for shape in inputs]}
        about = {"op_name": operator, "output_type_shape": [{"float": output}], **shapes}
        return {"name": "x_kernel_time", "args": about}

    assert count_macs([entry("Conv", [[1, 3, 8, 8], [16, 3, 5, 5], [16]], [1, 16, 4, 4])]) == (
        16 * 4 * 4 * 3 * 5 * 5
    )
    assert count_macs([entry("MatMul", [[1, 7, 20], [20, 5]], [1, 7, 5])]) == 7 * 5 * 20
    assert count_macs([entry("Gemm", [[2, 30], [30, 4], [4]], [2, 4])]) == 2 * 4 * 30
    assert count_macs([entry("Relu", [[1, 3]], [1, 3])]) == 0
    int8, fp32 = (mega_macs(path, read_card(path)) for path in (INT8, FP32))
    assert int8 is not None
    assert int8 == pytest.approx(fp32, rel=1e-3)
    assert 100 < int8 < 400


def test_cases_of_models_runtimes_and_threads() -> None:
    paths = model_paths([])
    assert list(paths) == [
        *("evface-n-fp32", "evface-n-int8", "evface-n-int8.tflite"),
        *("evface-s-fp32", "evface-s-int8", "evface-s-int8.tflite"),
    ]
    found = list(cases(paths, [1, 2], "onnxruntime", "cpu"))
    assert [(c.name, c.threads) for c in found] == [
        (name, threads) for name in paths for threads in (1, 2) if not name.endswith(".tflite")
    ]
    litert = list(cases(paths, [1], "litert"))
    assert [(c.name, c.device) for c in litert] == [
        (f"evface-{size}-int8.tflite", "cpu") for size in "ns"
    ]
    everywhere = {(c.runtime, c.device) for c in cases(paths, [1])}
    assert ("openvino", "npu") in everywhere
    assert "tensorrt" not in {runtime for runtime, _ in everywhere}  # no model is exported for it
    assert [thread_counts(cores) for cores in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]
    with pytest.raises(ModelError, match="nonsense"):
        model_paths(["nonsense"])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: list(cases({}, [1], "onnx")), "--runtime"),
        (lambda: list(cases({}, [1], "onnxruntime", "npu")), "--device"),
        (lambda: Effort(rounds=0), "rounds"),
        (lambda: Effort(window_events=0), "window_events"),
        (lambda: stage_events(SensorSize(640, 480), 0), "mev_per_s"),
    ],
)
def test_a_wrong_setting_is_rejected(make: Callable[[], object], field: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert error.value.field == field


def test_the_report_names_a_limited_window() -> None:
    chosen = [case("evface-s-int8")]
    found = run_benchmark(chosen, Effort(rounds=1, window_events=20_000), worker=Workers())
    assert "20,000" in as_text(found)
    found = run_benchmark(chosen, Effort(rounds=1), worker=Workers())
    assert "20,000" not in as_text(found)


@pytest.mark.parametrize("rate", [0.05, 3.0])
def test_events_of_any_sensor_and_rate(rate: float) -> None:
    size = SensorSize(640, 480)
    events = stage_events(size, rate)
    assert len(events) == round(rate * 500_000)
    assert (np.diff(events["t"]) >= 0).all()
    assert events["x"].max() < 640
    assert events["y"].max() < 480
    assert np.ptp(events["x"]) > 300  # enlarged with the sensor


def test_a_nested_stage_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, cpu = iter([0.0, 0.010, 0.013, 0.020]), iter([0.0, 0.001, 0.003, 0.009])
    monkeypatch.setattr("evface_edge.bench.stages.time.perf_counter", lambda: next(wall))
    monkeypatch.setattr("evface_edge.bench.stages.time.process_time", lambda: next(cpu))
    clock = StageClock()
    with clock.stage("tracking"), clock.stage("network"):
        pass
    taken = clock.reset()
    assert taken.wall_ms["network"] == pytest.approx(3)
    assert taken.wall_ms["tracking"] == pytest.approx(17)
    assert taken.cpu_ms["network"] == pytest.approx(2)
    assert taken.cpu_ms["tracking"] == pytest.approx(7)
    assert sum(clock.reset().wall_ms.values()) == 0


def test_tables() -> None:
    assert text_table(["a", "b"], [["x", "10"], ["yy", "2"]]) == "a    b\nx   10\nyy   2"
    rows = [{"a": 1, "b": 'say "x", y'}, {"a": 2, "c": None}]
    back = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert back[0] == {"a": "1", "b": 'say "x", y', "c": ""}
    assert back[1] == {"a": "2", "b": "", "c": ""}


def test_the_machine_from_system_files(tmp_path: Path) -> None:
    for name, text in {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: A Fast One\nflags\t\t: fpu hypervisor\n",
        "proc/meminfo": "MemTotal:        8000000 kB\n",
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = describe_machine(tmp_path)
    assert found["processor"] == "A Fast One"
    assert found["memory"] == "8.2 GB"
    assert found["board"] == "NVIDIA Jetson Orin Nano, R36 (release), REVISION: 4.3"
    assert found["hypervisor"] == "a virtual machine"


def test_the_command_fails_when_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "evface-s", "--runtime", "onnxruntime", "--device", "tensorrt"]
    assert main([*arguments, "--rounds", "1", "--seconds", "0.01"]) == 1
    assert "onnxruntime tensorrt" in capsys.readouterr().err
    assert main(["bench", "--threads", "1,none"]) == 2
    assert main(["bench", "--rounds", "0"]) == 1
