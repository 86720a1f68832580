"""`evface-edge bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Model files or names; by default the bundled."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="For bench.json and two .csv."),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this runtime; by default all.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this device; by default all.")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="Of the CPU; by default 1, 2, 4 … all cores."),
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="N", help="For each case.")] = 2.0,
    rounds: Annotated[int, typer.Option(metavar="N", help="Turns of each case.")] = 3,
    end_to_end: Annotated[
        bool, typer.Option(help="Whether events to landmarks are measured too.")
    ] = True,
    window_events: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="At most so many at once, end to end; by default as the card says."
        ),
    ] = None,
    repeat_check: Annotated[
        bool,
        typer.Option(
            "--repeat-check",
            help="Measure twice, and end with 1 if ratios of the two runs do not agree.",
        ),
    ] = False,
    tolerance: Annotated[
        float, typer.Option(metavar="X", help="Of --repeat-check, relative.")
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Measure how fast models are here, on every runtime and device that is found.

    Latency (p10, p50, p95, p99), jitter, throughput, first inference, memory, energy where the
    machine tells it, and GOP/s against the peak that is measured in the same run; the network alone
    and from events to landmarks, stage by stage. What fails says why, and the rest goes on. Ends
    with 1 if nothing could be measured.

    \b
    Examples:
      evface-edge bench
      evface-edge bench evface-s my.onnx my.engine -o results
      evface-edge bench --runtime openvino --threads 1 --no-end-to-end --json
      evface-edge bench --repeat-check --threads 1 --rounds 8 --no-end-to-end
    """
    from dataclasses import replace

    from evface_edge.bench import repeat
    from evface_edge.bench.cases import Target, cases, model_paths, thread_counts
    from evface_edge.bench.report import as_text, left_out
    from evface_edge.bench.run import Effort, run_benchmark
    from evface_edge.bench.table import text_table
    from evface_edge.bench.writing import check_folder, write_bench, write_text
    from evface_edge.errors import ConfigError, RuntimeUnavailable

    if not tolerance > 0:
        raise ConfigError("--tolerance", tolerance, "above 0")
    effort = Effort(
        seconds=seconds, rounds=rounds, end_to_end=end_to_end, window_events=window_events
    )
    counts = thread_counts() if threads is None else parse_counts(threads)
    chosen = list(cases(model_paths(models or []), counts, Target(runtime, device)))
    if not chosen:
        raise RuntimeUnavailable("no runtime reads these models: see docs/reference/runtimes.md")
    if output is not None:
        check_folder(output)

    def report(text: str) -> None:
        typer.echo(text, err=True)

    found = run_benchmark(chosen, effort, report=report)
    if output is not None:
        for path in write_bench(found, output):
            typer.echo(f"written: {path}", err=True)
    typer.echo(json.dumps(found) if as_json else as_text(found))
    if not any(row["status"] == "ok" for row in found["network"]):
        raise RuntimeUnavailable(f"nothing could be measured. {'; '.join(left_out(found))}")
    if repeat_check:
        again = run_benchmark(chosen, replace(effort, end_to_end=False), report=report)
        repeats = repeat.compare_runs(found, again)
        agree, sentence = repeat.verdict(repeats, tolerance)
        if output is not None:
            rows = {"tolerance": tolerance, "agree": agree, "cases": [vars(r) for r in repeats]}
            write_text(output / "repeat.json", json.dumps(rows, indent=1) + "\n")
        typer.echo(text_table(repeat.HEADING, repeat.cells(repeats)), err=as_json)
        typer.echo(sentence, err=as_json)
        if not agree:
            raise typer.Exit(1)


def parse_counts(text: str) -> list[int]:
    """ "1,2" → [1, 2]."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise typer.BadParameter(f"--threads {text!r}: expected numbers from 1 on, such as 1,2,4")
    return list(dict.fromkeys(counts))
