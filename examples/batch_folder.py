"""All recordings of a folder, several at a time: one table of landmarks for each.

    python examples/batch_folder.py FOLDER OUT
    python examples/batch_folder.py FOLDER OUT --ray auto

Processes on this machine by default; with --ray ADDRESS the nodes of a Ray cluster, which must see
the folder under the same path and have evface-edge installed (pip install 'evface-edge[ray]'):
"auto" is the cluster that was started on this machine with `ray start --head`, "local" one made for
this run alone. A recording that cannot be read is named; the others are not lost. Without
arguments it takes the bundled recording, twice.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from evface_edge import Predictor
from evface_edge.cli.demo import RECORDING
from evface_edge.errors import EvfaceError

SUFFIXES = {".raw", ".dat", ".aedat4", ".aedat", ".es", ".npz", ".h5", ".hdf5", ".csv", ".bag"}


def work(recording: Path, out: Path, model: str) -> tuple[str, int, str]:
    """→ (name, faces, what went wrong or nothing)."""
    try:
        with Predictor(model) as predictor:
            faces = predictor.run(recording)
        faces.to_csv(out / f"{recording.stem}.csv")
    except EvfaceError as error:
        return recording.name, 0, str(error)
    return recording.name, len(faces), ""


def in_processes(jobs: list[tuple[Any, ...]], workers: int) -> Iterator[tuple[str, int, str]]:
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, *zip(*jobs, strict=True))


def on_ray(
    jobs: list[tuple[Any, ...]], address: str, workers: int
) -> Iterator[tuple[str, int, str]]:
    """The same on a cluster; a recording whose node dies is an answer like any other."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of each run
    try:
        import ray
    except ImportError:
        raise typer.BadParameter("ray is not installed: pip install 'evface-edge[ray]'") from None
    try:
        if address == "local":
            # Nothing large is sent around: the default would set a third of the memory aside.
            ray.init("local", num_cpus=workers, object_store_memory=1 << 27, log_to_driver=False)
        else:
            ray.init(address, log_to_driver=False)
    except Exception as error:  # it has no common class of its own for this
        ray.shutdown()
        raise typer.BadParameter(f"--ray {address}: {error}") from None
    try:
        remote = ray.remote(num_cpus=1)(work)
        waiting = {remote.remote(*job): job[0].name for job in jobs}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            name = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield name, 0, str(error).splitlines()[-1]
    finally:
        ray.shutdown()


def main(
    folder: Annotated[Path | None, typer.Argument(help="Of recordings.")] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder for the tables.")] = None,
    model: str = "evface-s",
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 2,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster: host:port, auto or local.")
    ] = None,
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = Path(scratch)
            for name in ("one", "two"):
                shutil.copy(RECORDING, folder / f"{name}{RECORDING.suffix}")
        out = (out or folder).resolve()
        out.mkdir(parents=True, exist_ok=True)
        recordings = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not recordings:
            raise typer.BadParameter(f"{folder} holds no recording ({', '.join(sorted(SUFFIXES))})")
        jobs: list[tuple[Any, ...]] = [(path.resolve(), out, model) for path in recordings]
        results = on_ray(jobs, ray, workers) if ray else in_processes(jobs, workers)
        failed = 0
        for name, faces, wrong in results:
            failed += bool(wrong)
            typer.echo(f"{name}: {wrong or f'{faces} faces'}")
        typer.echo(f"{len(jobs) - failed} of {len(jobs)} recordings done")
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
