"""Live landmarks with OpenVINO, with a callback.

    python examples/openvino_live.py                     # the bundled recording, as a camera
    python examples/openvino_live.py --camera camera:inivation --device npu --seconds 60

Prints one line a second: results per second, processor time per result (reading the camera
included), where the nose is, and the lost events. There is no fallback to another device;
`evface-edge doctor` lists the devices. Needs pip install 'evface-edge[openvino]'. Tested on cpu
only.
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from evface_edge import DEMO_RECORDING, EventSource, FaceLandmarks, Predictor, open_events
from evface_edge.live import describe_losses, until_stopped


class Printer:
    """A callback that prints one line a second."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._start()

    def _start(self) -> None:
        self._results = 0
        self._start_s, self._start_cpu_s = time.monotonic(), time.process_time()

    def __call__(self, t_us: int, faces: list[FaceLandmarks]) -> None:
        self._results += 1
        elapsed_s = time.monotonic() - self._start_s
        if elapsed_s < 1:
            return
        text = "no face"
        if faces:
            x, y = faces[0].points5[2]
            text = f"nose at ({x:.0f}, {y:.0f}) ± {faces[0].sigma.mean():.1f} px"
        cpu_ms = 1e3 * (time.process_time() - self._start_cpu_s) / self._results
        typer.echo(
            f"{t_us / 1e6:7.2f} s  {self._results / elapsed_s:4.0f} results/s, {cpu_ms:.2f} ms of "
            f"processor time each  {text}  lost: {describe_losses(self._source.counters)}"
        )
        self._start()


def main(
    camera: Annotated[
        str, typer.Option(help="Use the camera with this URI.")
    ] = f"replay:{DEMO_RECORDING}",
    model: Annotated[str, typer.Option(help="Use this bundled model or model file.")] = "evface-s",
    device: Annotated[str, typer.Option(help="Use this device: cpu, gpu or npu.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Use this number of processor threads.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after N seconds; by default at Ctrl-C.")
    ] = None,
) -> None:
    with Predictor(model, runtime="openvino", device=device, threads=threads) as predictor:
        typer.echo(predictor.describe())
        predictor.warmup()
        with open_events(camera) as opened, until_stopped(opened, seconds=seconds) as source:
            predictor.watch(source, Printer(source))
        source.raise_error()


if __name__ == "__main__":
    typer.run(main)
