"""`evface-edge ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_training.command_train import CACHE_HELP, FACES_HELP


def ablate(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FOLDER", help="Write all runs into this folder."),
    ],
    faces: Annotated[
        list[Path] | None, typer.Option("--faces", metavar="FOLDER", help=FACES_HELP)
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="NAME", help="Use networks of this size: smoke, tiny or base.")
    ] = "tiny",
    steps: Annotated[int, typer.Option(metavar="N", help="Train on labels for N steps.")] = 4000,
    pretraining_steps: Annotated[
        int, typer.Option(metavar="N", help="Pretrain for N steps.")
    ] = 4000,
    seeds: Annotated[int, typer.Option(metavar="N", help="Repeat each training with N seeds.")] = 3,
    clips: Annotated[
        int, typer.Option(metavar="N", help="Evaluate on N clips of each condition.")
    ] = 1024,
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Train only this row (default: all). Repeatable."),
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="FILE", help=CACHE_HELP)] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Train on this device: auto, cpu or gpu.")
    ] = "auto",
    threads: Annotated[
        int, typer.Option(metavar="N", help="Use N threads for the network; 0 uses all cores.")
    ] = 0,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Simulate in N processes on the CPU.")
    ] = 1,
) -> None:
    """Run the ablation study: SSMER, CMFA, RGB, EFNet, MIRROR, few labels, distillation.

    All networks train on the same faces and number of clips, and are evaluated on the same sharp,
    dark and blurred clips. Writes table.md, ablation.png and results.json after each row. The same
    command resumes a stopped study.

    \b
    Examples:
      evface-edge ablate --faces faces -o runs/ablation
      evface-edge ablate --faces faces -o runs/ablation --row events --row 'CMFA + SSMER'
    """
    from evface_training.ablation.run import Ablation, ablation_faces, run_ablation
    from evface_training.trainer.machine import Machine

    ablation = Ablation(size, steps, pretraining_steps, seeds, clips, tuple(row or ()))  # type: ignore[arg-type]
    output.mkdir(parents=True, exist_ok=True)
    training, validation = ablation_faces(faces or [], cache, output)
    typer.echo(f"training faces: {len(training):,}, evaluation faces: {len(validation):,}")
    machine = Machine(device, threads, workers)  # type: ignore[arg-type]
    table = run_ablation(ablation, training, validation, output, machine, log=typer.echo)
    typer.echo(table.read_text())
