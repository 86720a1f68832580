"""Write a table of landmarks for each recording of a folder, several at a time.

    python examples/batch_folder.py FOLDER OUT
    python examples/batch_folder.py FOLDER OUT --ray auto

It uses processes on this machine, or with --ray ADDRESS a Ray cluster, whose nodes need the folder
under the same path and evface-edge installed (pip install 'evface-edge[ray]'): "auto" is a running
cluster on this machine (`ray start --head`), "local" a new one for this run. An error in one
recording does not stop the others. Without arguments it processes the bundled recording twice.
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

from evface_edge import DEMO_RECORDING, EvfaceError, Predictor

SUFFIXES = {".raw", ".dat", ".aedat4", ".aedat", ".es", ".npz", ".h5", ".hdf5", ".csv", ".bag"}


def process(recording: Path, out: Path, model: str) -> tuple[str, int, str]:
    """Write the table of one recording; returns its name, its number of faces, and its error."""
    try:
        with Predictor(model) as predictor:
            faces = predictor.run(recording)
        faces.to_csv(out / f"{recording.stem}.csv")
    except EvfaceError as error:
        return recording.name, 0, str(error)
    return recording.name, len(faces), ""


def in_processes(jobs: list[tuple[Any, ...]], workers: int) -> Iterator[tuple[str, int, str]]:
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(process, *zip(*jobs, strict=True))


def on_ray(
    jobs: list[tuple[Any, ...]], address: str, workers: int
) -> Iterator[tuple[str, int, str]]:
    """The same on a cluster; if a node dies, its recording has an error."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics
    try:
        import ray
    except ImportError:
        raise typer.BadParameter("ray is not installed: pip install 'evface-edge[ray]'") from None
    try:
        if address == "local":
            # Arguments and results are small: the default would reserve a third of the memory.
            ray.init(
                "local",
                num_cpus=workers,
                object_store_memory=1 << 27,
                log_to_driver=False,
                include_dashboard=False,
            )
        else:
            ray.init(address, log_to_driver=False)
    except Exception as error:  # Ray has no common class for these errors
        ray.shutdown()
        raise typer.BadParameter(f"--ray {address}: {error}") from None
    try:
        remote = ray.remote(num_cpus=1)(process)
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
    folder: Annotated[Path | None, typer.Argument(help="Folder of recordings.")] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder for the tables.")] = None,
    model: Annotated[str, typer.Option(help="Use this bundled model or model file.")] = "evface-s",
    workers: Annotated[int, typer.Option(min=1, help="Use this number of processes.")] = 2,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use Ray: host:port, auto or local."),
    ] = None,
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = Path(scratch)
            for name in ("one", "two"):
                shutil.copy(DEMO_RECORDING, folder / f"{name}{DEMO_RECORDING.suffix}")
        out = (out or folder).resolve()
        out.mkdir(parents=True, exist_ok=True)
        recordings = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not recordings:
            raise typer.BadParameter(f"{folder} has no recording ({', '.join(sorted(SUFFIXES))})")
        jobs: list[tuple[Any, ...]] = [(path.resolve(), out, model) for path in recordings]
        results = on_ray(jobs, ray, workers) if ray else in_processes(jobs, workers)
        failed = 0
        for name, faces, error in results:
            failed += bool(error)
            typer.echo(f"{name}: {error or f'{faces} faces'}")
        typer.echo(f"{len(jobs) - failed} of {len(jobs)} recordings done")
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
