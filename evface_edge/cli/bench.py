"""`evface-edge bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from evface_edge.cli.options import JsonOption


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL", help="Measure these model files or names (default: all bundled)."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Write JSON and CSV files into this folder."
        ),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Measure only this runtime.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Measure only this device.")
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…", help="Use these numbers of CPU threads (default: 1, 2, 4 … all cores)."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="N", help="Measure each case for N seconds.")
    ] = 2.0,
    rounds: Annotated[int, typer.Option(metavar="N", help="Measure each case in N rounds.")] = 3,
    end_to_end: Annotated[bool, typer.Option(help="Also measure events to landmarks.")] = True,
    window_events: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Use at most N events for one inference, end to end (default: as the card).",
        ),
    ] = None,
    repeat_check: Annotated[
        bool,
        typer.Option(
            "--repeat-check",
            help="Measure twice, and exit with code 1 if the ratios differ too much.",
        ),
    ] = False,
    tolerance: Annotated[
        float, typer.Option(metavar="N", help="Set the relative tolerance of --repeat-check.")
    ] = 0.05,
    soak: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Run a soak test of N seconds instead: landmarks from a live source, with checks "
            "of memory, latency and lost events.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Use this live source with --soak (default: the demo recording in a loop).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast models run on this machine, on every runtime and device.

    Measures latency (p10, p50, p95, p99), jitter, throughput, first inference, memory, energy if
    the machine has a meter, and GOP/s compared with the measured peak: of the network alone, and
    from events to landmarks, stage by stage. Cases that fail are listed with the reason. The exit
    code is 1 if nothing could be measured.

    With --soak the exit code is 1 if memory, open file descriptors or latency grow, or if the
    counters of the source do not add up.

    \b
    Examples:
      evface-edge bench
      evface-edge bench evface-s my.onnx my.engine -o results
      evface-edge bench --runtime openvino --threads 1 --no-end-to-end --json
      evface-edge bench --repeat-check --threads 1 --rounds 8 --no-end-to-end
      evface-edge bench --soak 1800 --source camera:evk4
    """
    from dataclasses import replace

    from evface_edge.bench import repeat
    from evface_edge.bench.cases import cases, model_paths, thread_counts
    from evface_edge.bench.output import make_folder, text_table, write_bench, write_json
    from evface_edge.bench.report import as_text, not_measured
    from evface_edge.bench.run import Effort, run_benchmark
    from evface_edge.errors import ConfigError, RuntimeUnavailable

    if output is not None:
        make_folder(output)
    if soak is not None:
        if len(models or []) > 1:
            raise ConfigError("MODEL", models, "one model with --soak")
        _run_soak(soak, source, (models or ["evface-s"])[0], runtime, device, output, as_json)
        return
    if source is not None:
        raise ConfigError("--source", source, "--soak SECONDS with it")
    if not tolerance > 0:
        raise ConfigError("--tolerance", tolerance, "above 0")
    effort = Effort(
        seconds=seconds, rounds=rounds, end_to_end=end_to_end, window_events=window_events
    )
    counts = thread_counts() if threads is None else parse_counts(threads)
    chosen = list(cases(model_paths(models or []), counts, runtime, device))
    if not chosen:
        raise RuntimeUnavailable("no runtime can load these models; see docs/reference/runtimes.md")

    def progress(text: str) -> None:
        typer.echo(text, err=True)

    results = run_benchmark(chosen, effort, report=progress)
    if output is not None:
        for path in write_bench(results, output):
            typer.echo(f"written: {path}", err=True)
    typer.echo(json.dumps(results) if as_json else as_text(results))
    if not any(row["status"] == "ok" for row in results["network"]):
        raise RuntimeUnavailable(f"nothing could be measured. {'; '.join(not_measured(results))}")
    if repeat_check:
        again = run_benchmark(chosen, replace(effort, end_to_end=False), report=progress)
        repeats = repeat.compare_runs(results, again)
        difference = max(abs(one.difference) for one in repeats)
        if output is not None:
            rows = {"tolerance": tolerance, "agree": difference <= tolerance}
            rows["cases"] = [vars(one) for one in repeats]  # type: ignore[assignment]
            write_json(output / "repeat.json", rows)
        typer.echo(text_table(repeat.HEADING, [one.cells() for one in repeats]), err=as_json)
        typer.echo(f"largest difference {difference:.1%}, tolerance {tolerance:.0%}", err=as_json)
        if difference > tolerance:
            raise typer.Exit(1)


def _run_soak(
    seconds: float,
    source: str | None,
    model: str,
    runtime: str | None,
    device: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    from evface_edge.bench.output import write_json
    from evface_edge.bench.soak import soak

    result = soak(
        seconds,
        source=source,
        model=model,
        runtime=runtime,
        device=device or "auto",
        progress=lambda line: typer.echo(line, err=True),
    )
    if output is not None:
        write_json(output / "soak.json", result.as_json())
    typer.echo(json.dumps(result.as_json()) if as_json else result.as_text())
    if result.problems:
        raise typer.Exit(1)


def parse_counts(text: str) -> list[int]:
    """Parse "1,2" → [1, 2]."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise typer.BadParameter(f"--threads {text!r}: expected numbers of 1 or more, as 1,2,4")
    return list(dict.fromkeys(counts))
