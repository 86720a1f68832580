"""Live landmarks on an x86 machine with OpenVINO, by a callback.

    python examples/openvino_live.py                     # the bundled recording, as a camera
    python examples/openvino_live.py --camera camera:inivation --device npu --seconds 60

Prints one line a second: how many results, what each took of the processor (reading the camera
included), where the nose is, and what was lost. A device that is named is used or refused;
`evface-edge doctor` lists those that are there. Needs pip install 'evface-edge[openvino]'. Of the
devices, cpu has been run.
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from evface_edge import EventSource, FaceLandmarks, Predictor, open_events
from evface_edge.cli.demo import RECORDING
from evface_edge.cli.live import losses


class Show:
    """Called back with each result."""

    def __init__(self, source: EventSource, seconds: float) -> None:
        self._source = source
        self._said_s, self._said_cpu_s = time.monotonic(), time.process_time()
        self._end_s = self._said_s + seconds
        self._results = 0

    def __call__(self, t_us: int, faces: list[FaceLandmarks]) -> bool:
        """False ends it."""
        self._results += 1
        now_s, cpu_s = time.monotonic(), time.process_time()
        if now_s - self._said_s >= 1:
            where = "no face"
            if faces:
                x, y = faces[0].points5[2]
                where = f"nose at ({x:.0f}, {y:.0f}) ± {faces[0].sigma.mean():.1f} px"
            rate = self._results / (now_s - self._said_s)
            cost_ms = 1e3 * (cpu_s - self._said_cpu_s) / self._results
            typer.echo(
                f"{t_us / 1e6:7.2f} s  {rate:4.0f} results/s, {cost_ms:.2f} ms of the processor "
                f"each  {where}  lost: {losses(self._source.counters)}"
            )
            self._said_s, self._said_cpu_s, self._results = now_s, cpu_s, 0
        return now_s < self._end_s


def main(
    camera: Annotated[str, typer.Option(help="Its URI.")] = f"replay:{RECORDING}",
    model: Annotated[str, typer.Option(help="A name, .onnx or .xml.")] = "evface-s",
    device: Annotated[str, typer.Option(help="cpu, gpu or npu.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Of the CPU.")] = 1,
    seconds: Annotated[float, typer.Option(help="For how long; default: until Ctrl-C.")] = 1e9,
) -> None:
    with Predictor(model, runtime="openvino", device=device, threads=threads) as predictor:
        typer.echo(predictor.describe())
        predictor.warmup()
        with open_events(camera) as source:
            predictor.watch(source, Show(source, seconds))


if __name__ == "__main__":
    typer.run(main)
