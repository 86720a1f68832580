"""`evface-edge simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_edge.errors import ConfigError, EvfaceError


def simulate(
    source: Annotated[
        str,
        typer.Argument(help="An image, a video, a folder, or synthetic:avatar?seed=1&speed=fast."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The recording to write; of a folder, a folder.")
    ],
    camera: Annotated[str, typer.Option(help="The event camera, by name.")] = "davis346",
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.")] = 0,
    max_seconds: Annotated[float, typer.Option(help="Stop after so much of the source.")] = 60.0,
    speed: Annotated[
        str, typer.Option(help="Of an image's motion: slow, normal, fast.")
    ] = "normal",
    lux: Annotated[float | None, typer.Option(help="Light of the scene; 1,000 is bright.")] = None,
    suffix: Annotated[str, typer.Option("--format", help="Of a folder's recordings.")] = "npz",
    count: Annotated[int | None, typer.Option(help="Of a folder, only the first so many.")] = None,
) -> None:
    """Turn images into a recording of events, with the landmarks beside it.

    An image moves its head as a person does; it needs landmarks beside it, in face.npz (points98)
    or face.pts. Of a folder, every video becomes a recording, or every face of a data set in it.

    \b
    Examples:
      evface-edge simulate face.mp4 -o rec.npz
      evface-edge simulate face.jpg -o rec.raw --speed fast --lux 1
      evface-edge simulate WFLW -o recordings --count 20
      evface-edge simulate 'synthetic:avatar?seed=3&speed=fast&seconds=2' -o rec.raw --camera evk4
    """
    from dataclasses import replace

    from rich.progress import Progress

    from evface_training.data.annotated import SkipList
    from evface_training.simulation.presets import PRESETS
    from evface_training.simulation.sources import LightSource, open_folder, open_light
    from evface_training.simulation.writing import Written, write_recording

    if camera not in PRESETS:
        raise ConfigError("--camera", camera, f"one of {', '.join(PRESETS)}")
    if not max_seconds > 0:
        raise ConfigError("--max-seconds", max_seconds, "a time above 0")
    if count is not None and count < 1:
        raise ConfigError("--count", count, "1 or more")
    prior = PRESETS[camera]
    if lux is not None:
        prior = replace(prior, lux=(lux, lux))

    def write(light: LightSource, path: Path, progress: Progress) -> Written:
        end_us = round(max_seconds * 1e6)
        total = min(light.duration_us or end_us, end_us)
        task = progress.add_task(path.name, total=total)
        try:
            return write_recording(
                light,
                path,
                prior,
                seed=seed,
                max_seconds=max_seconds,
                advance=lambda t_us: progress.update(task, completed=t_us),
            )
        finally:
            progress.remove_task(task)

    if not Path(source).is_dir():
        light = open_light(source, seed=seed, speed=speed)
        with Progress() as progress:
            written = write(light, output, progress)
        rate = written.events / max(written.seconds, 1e-6) * 1e-6
        typer.echo(
            f"{output}: {written.events:,} events, {written.seconds:.2f} s, {rate:.2f} Mev/s, "
            f"sensor {light.size}, camera {camera}"
        )
        if written.landmarks is not None:
            typer.echo(f"{written.landmarks}: landmarks at {written.instants} instants")
        return
    if output.suffix:
        raise ConfigError("--output", str(output), "a folder, for a folder of sources")
    output.mkdir(parents=True, exist_ok=True)
    skipped = SkipList()
    done = 0
    with Progress() as progress:
        for name, light in open_folder(Path(source), skipped, seed=seed, speed=speed):
            try:
                write(light, output / f"{name}.{suffix}", progress)
            except EvfaceError as problem:
                skipped.add(name, str(problem))
                continue
            done += 1
            if done == count:
                break
    if skipped:
        typer.echo(skipped.summary(), err=True)
    if not done:
        raise ConfigError("source", source, "a folder with one source that can be used")
    typer.echo(f"{output}: {done} recordings, camera {camera}")
