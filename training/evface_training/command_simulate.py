"""`evface-edge simulate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evface_edge.errors import ConfigError, EvfaceError

if TYPE_CHECKING:
    from rich.progress import Progress

    from evface_training.simulation.camera import CameraPrior
    from evface_training.simulation.light import LightSource
    from evface_training.simulation.writing import WrittenRecording


def simulate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An image, a video, a folder, or synthetic:avatar?seed=1&speed=fast.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write this recording; if SOURCE is a folder, write into this folder.",
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a contact sheet (.png) of the events and landmarks."
        ),
    ] = None,
    camera: Annotated[
        str, typer.Option(metavar="NAME", help="Simulate this event camera.")
    ] = "davis346",
    seed: Annotated[int, typer.Option(metavar="N", help="Set the random seed.")] = 0,
    max_seconds: Annotated[float, typer.Option(metavar="N", help="Stop after N seconds.")] = 60.0,
    speed: Annotated[
        str, typer.Option(metavar="NAME", help="Move an image at this speed: slow, normal or fast.")
    ] = "normal",
    lux: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Light the scene with N lux; 1000 is bright (default: as the camera)."
        ),
    ] = None,
    suffix: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAME", help="Write recordings of a folder in this format."
        ),
    ] = "npz",
    count: Annotated[
        int | None,
        typer.Option(metavar="N", help="Make at most N recordings from a folder (default: all)."),
    ] = None,
) -> None:
    """Simulate the events of a face in a video, image or avatar.

    Recordings are written with landmarks. An image moves as a head does; it needs landmarks in
    face.npz (points98) or face.pts. A folder gives one recording for each video, or for each face
    of a data set in it.

    With --preview, SOURCE may also be `clips` (training clips) or `benchmark:NAME` (a benchmark
    set, such as benchmark:fast).

    \b
    Examples:
      evface-edge simulate face.mp4 -o rec.npz
      evface-edge simulate face.jpg -o rec.raw --speed fast --lux 1
      evface-edge simulate WFLW -o recordings --count 20
      evface-edge simulate 'synthetic:avatar?seed=3&speed=fast&seconds=2' -o rec.raw --camera evk4
      evface-edge simulate benchmark:fast --preview fast.png
    """
    from rich.progress import Progress

    from evface_training.data.annotated import SkipList
    from evface_training.preview import is_preview_only, write_preview
    from evface_training.simulation.opening import open_folder, open_light
    from evface_training.simulation.presets import PRESETS
    from evface_training.simulation.writing import WrittenRecording

    if camera not in PRESETS:
        raise ConfigError("--camera", camera, f"one of {', '.join(PRESETS)}")
    if not max_seconds > 0:
        raise ConfigError("--max-seconds", max_seconds, "a time above 0")
    if count is not None and count < 1:
        raise ConfigError("--count", count, "1 or more")
    prior = PRESETS[camera]
    if lux is not None:
        prior = replace(prior, lux=(lux, lux))
    if output is None and preview is None:
        raise ConfigError("--output", "nothing", "a recording to write, or --preview FILE.png")
    if output is not None and is_preview_only(source):
        raise ConfigError("--output", str(output), f"--preview FILE.png for {source}")
    if preview is not None:
        tiles = write_preview(source, preview, prior, seed=seed, speed=speed)
        typer.echo(f"{preview}: {tiles} images")
    if output is None:
        return
    folder = Path(source).is_dir()
    if folder and output.suffix:
        raise ConfigError("--output", str(output), "a folder, because SOURCE is a folder")
    skipped, written = SkipList(), list[WrittenRecording]()
    sources: Iterable[tuple[str, LightSource]]
    if folder:
        output.mkdir(parents=True, exist_ok=True)
        sources = open_folder(Path(source), skipped, seed=seed, speed=speed)
    else:
        sources = [("", open_light(source, seed=seed, speed=speed))]
    with Progress() as progress:
        for name, light in sources:
            path = output / f"{name}.{suffix}" if folder else output
            try:
                written.append(_write(light, path, prior, seed, max_seconds, progress))
            except EvfaceError as problem:
                if not folder:
                    raise
                skipped.add(name, str(problem))
            if len(written) == count:
                break
    if skipped:
        typer.echo(skipped.summary(), err=True)
    if not written:
        raise ConfigError("source", source, "a folder with a source that can be used")
    for one in written:
        rate = one.events / max(one.seconds, 1e-6) * 1e-6
        landmarks = f", landmarks at {one.instants} instants" if one.instants else ""
        typer.echo(
            f"{one.path}: {one.events:,} events, {one.seconds:.2f} s, {rate:.2f} Mev/s{landmarks}"
        )


def _write(
    light: LightSource,
    path: Path,
    prior: CameraPrior,
    seed: int,
    max_seconds: float,
    progress: Progress,
) -> WrittenRecording:
    from evface_training.simulation.writing import write_recording

    end_us = round(max_seconds * 1e6)
    task = progress.add_task(path.name, total=min(light.duration_us or end_us, end_us))
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
