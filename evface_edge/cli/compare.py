"""`evface-edge compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from evface_edge.cli.options import JsonOption


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL[@RUNTIME]",
            help="Compare these model names or files (default: all bundled).",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Use a recording with NAME.landmarks.npz in the same folder, or a folder of such "
            "recordings (default: the demo recording).",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Write into this folder.")
    ] = Path("evface-compare"),
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare with an earlier compare.json, and exit with code 1 on a regression.",
        ),
    ] = None,
    max_nme_loss: Annotated[
        float, typer.Option(metavar="N", help="Accept this relative increase of NME-98.")
    ] = 0.02,
    max_failures: Annotated[
        float,
        typer.Option(metavar="N", help="Accept this increase of failures, in percentage points."),
    ] = 1.0,
    max_slowdown: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="Accept this relative increase of latency ÷ that of the first model.",
        ),
    ] = 0.10,
    rate_hz: Annotated[
        float, typer.Option(metavar="N", help="Evaluate N instants a second.")
    ] = 50.0,
    seconds: Annotated[
        float, typer.Option(metavar="N", help="Measure each latency for N seconds.")
    ] = 1.0,
    page: Annotated[
        bool, typer.Option(help="Write report.html; needs evface-edge[report].")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Compare accuracy and latency of models on the same recordings.

    Writes compare.json, models.csv, landmarks.csv, instants.csv and report.html, which opens
    without a network. `evface-edge simulate` writes recordings with landmarks.

    \b
    Examples:
      evface-edge compare
      evface-edge compare evface-s-fp32 evface-s-int8 evface-s-int8@openvino
      evface-edge compare mine.onnx evface-s --data recordings -o results
      evface-edge compare mine.onnx evface-s --baseline results/compare.json
    """
    from evface_edge import DEMO_RECORDING
    from evface_edge.bench.output import csv_text, make_folder, text_table, write_text
    from evface_edge.compare import metrics, plots
    from evface_edge.compare.accuracy import Entry, run_all
    from evface_edge.compare.baseline import Tolerance, load_baseline, regressions
    from evface_edge.compare.labelled import load_set
    from evface_edge.compare.page import HEADING, model_cells, note, pair_sentences
    from evface_edge.compare.page import page as page_text
    from evface_edge.models import bundled_names

    tolerance = Tolerance(max_nme_loss, max_failures, max_slowdown)
    earlier = None if baseline is None else load_baseline(baseline)
    if page:
        plots.require_matplotlib()
    entries = [Entry.parse(text) for text in models or bundled_names()]
    recordings = load_set(data or DEMO_RECORDING)
    make_folder(output)
    instants, results = run_all(
        entries,
        recordings,
        rate_hz=rate_hz,
        seconds=seconds,
        report=lambda text: typer.echo(text, err=True),
    )
    report = metrics.compare(instants, results, recordings, rate_hz)
    worse = [] if earlier is None else regressions(report, earlier, tolerance)
    texts = {
        "compare.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "models.csv": csv_text(metrics.model_rows(report)),
        "landmarks.csv": csv_text(metrics.landmark_rows(report)),
        "instants.csv": csv_text(metrics.instant_rows(instants, results, recordings)),
    }
    if page:
        drawn = plots.draw_all(report, instants, results, recordings)
        texts["report.html"] = page_text(report, drawn)
    for name, text in texts.items():
        write_text(output / name, text)
    if as_json:
        typer.echo(json.dumps({**report, "regressions": worse}))
    else:
        typer.echo(text_table(HEADING, model_cells(report)))
        typer.echo("\n" + note(report) + "\n")
        for sentence in pair_sentences(report):
            typer.echo(sentence)
        typer.echo(f"written to {output}: {', '.join(texts)}")
    for sentence in worse:
        typer.echo(f"regression: {sentence}", err=True)
    if worse:
        raise typer.Exit(1)
    if earlier is not None and not as_json:
        typer.echo(f"no regression compared with {baseline}")
