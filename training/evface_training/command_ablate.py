"""`evface-edge ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evface_training.command_train import FACES_HELP


def ablate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of all its runs.")],
    faces: Annotated[
        list[Path] | None, typer.Option("--faces", help=FACES_HELP + " Without: avatars.")
    ] = None,
    size: Annotated[str, typer.Option(help="Of the networks: tiny or base; smoke.")] = "tiny",
    steps: Annotated[int, typer.Option(help="Of each training on labels.")] = 4000,
    pretraining_steps: Annotated[int, typer.Option(help="Of each training without.")] = 4000,
    seeds: Annotated[int, typer.Option(help="Weights and clips drawn so many times.")] = 3,
    clips: Annotated[int, typer.Option(help="To judge with, at each moment.")] = 1024,
    row: Annotated[list[str] | None, typer.Option(help="Only this row; repeatable.")] = None,
    cache: Annotated[Path | None, typer.Option(help="File that keeps the packed faces.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    threads: Annotated[int, typer.Option(help="Of the network; 0: all cores.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that simulate on the CPU.")] = 1,
) -> None:
    """Take the method apart: SSMER, CMFA, RGB, EFNet, MIRROR, few labels, distillation.

    Every network sees the same faces and as many clips, and is judged on the same moments, sharp,
    dark and blurred. Writes table.md, ablation.png and results.json, row by row; the same command
    goes on where it was stopped.

    \b
    Examples:
      evface-edge ablate --faces faces -o runs/ablation
      evface-edge ablate --faces faces -o runs/ablation --row events --row 'CMFA + SSMER'
    """
    from evface_training.ablation.people import to_train_and_to_judge
    from evface_training.ablation.run import Ablation, run_ablation
    from evface_training.trainer.machine import Machine

    ablation = Ablation(size, steps, pretraining_steps, seeds, clips, tuple(row or ()))  # type: ignore[arg-type]
    output.mkdir(parents=True, exist_ok=True)
    training, people = to_train_and_to_judge(faces or [], cache, output)
    typer.echo(f"{len(training):,} faces to train on, {len(people):,} to judge with")
    machine = Machine(device, threads, workers)  # type: ignore[arg-type]
    table = run_ablation(ablation, training, people, output, machine, log=typer.echo)
    typer.echo(table.read_text())
