"""Write docs/benchmarks.md from what the commands measured; nothing in it is typed by hand.

    evface-edge bench --repeat-check -o results
    evface-edge compare evface-s-fp32 evface-s-int8 -o results
    PEERS_PYTHON=… python -m benchmarks peers --data FACES … -o results      # if you like
    python tools/write_benchmarks_doc.py results

Folders of several machines may be given; each becomes a chapter. What is not in a folder is left
out of its chapter, but for bench.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import drawing, report
from evface_edge.bench import repeat
from evface_edge.bench.report import as_markdown
from evface_edge.bench.table import markdown_table
from evface_edge.compare.page import HEADING, model_cells, note, pair_sentences

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"

HEAD = """\
# Benchmarks

Written by `python tools/write_benchmarks_doc.py results` from what these commands measured, none
of it by hand; run them to get your own:

| command | what it measures |
| --- | --- |
| `evface-edge bench --repeat-check -o results` | latency of every model, runtime and device here, \
twice: do the ratios agree? |
| `evface-edge compare -o results` | accuracy and latency on the same recordings, and a page |
| `python -m benchmarks peers --data FACES -o results` | RGB landmarkers on frames and on frames \
rebuilt from events, beside ours; `--help` says what it needs |

Ratios within one run mean more than milliseconds, which depend on what else the machine does.

**Never run so far:** a Jetson (`examples/jetson_benchmark.sh` does the whole matrix there; a test
runs it with a stand-in for tegrastats), any GPU or NPU, TensorRT, the readers of energy on a real
sensor (they are tested against recorded output).

**Accuracy below is on simulated events.** No recording of a real event camera with landmarks was at
hand; `docs/models.md` has the figures of more faces.
"""


def main(folders: list[str]) -> None:
    chapters = [HEAD]
    for folder in map(Path, folders):
        bench, repeated, compared, peers = (
            read(folder / f"{name}.json") for name in ("bench", "repeat", "compare", "peers")
        )
        if bench is None:
            raise SystemExit(f"{folder}: no bench.json; evface-edge bench -o {folder} writes it")
        machine = bench["machine"]
        chapters.append(f"## {machine.get('board') or machine['processor']}\n")
        chapters.append(as_markdown(bench) + "\n")
        if repeated is not None:
            chapters.append(_repeated(repeated))
        if compared is not None:
            chapters.append(_accuracy(compared))
        if peers is not None:
            chapters.append(_peers(peers))
        chapters.append(_shortfalls(bench, compared, peers))
    DOCUMENT.write_text("\n".join(chapters), encoding="utf-8")


def read(path: Path) -> dict[str, Any] | None:
    """A JSON file, None where it is not there."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _accuracy(compared: Mapping[str, Any]) -> str:
    pairs = "\n".join(f"- {sentence}" for sentence in pair_sentences(compared))
    table = markdown_table(HEADING, model_cells(compared))
    return f"### Accuracy\n\n{table}\n\n{note(compared)}\n\n{pairs}\n"


def _repeated(repeated: Mapping[str, Any]) -> str:
    """The ratios of two runs."""
    repeats = [repeat.Repeat(**case) for case in repeated["cases"]]
    _, sentence = repeat.verdict(repeats, repeated["tolerance"])
    table = markdown_table(repeat.HEADING, repeat.cells(repeats))
    text = (
        "Each case ÷ the first of its run, in two runs one after the other. Cases of several "
        "threads need as many idle cores: shown, not judged."
    )
    return f"### Do the numbers repeat?\n\n{text}\n\n{table}\n\n{sentence.capitalize()}.\n"


def _peers(peers: Mapping[str, Any]) -> str:
    """Events against frames, with the images drawn anew from the figures."""
    shown = []
    for name, draw in (("board", drawing.board), ("curves", drawing.curves)):
        image = DOCUMENT.with_name(f"benchmarks_{name}.png")
        image.write_bytes(draw(peers))
        shown.append(f"![{report.CAPTIONS[name]}]({image.name})")
    images = "\n\n".join(shown)
    return f"### Events against frames\n\n{images}\n\n{report.markdown(peers)}"


def _shortfalls(
    bench: Mapping[str, Any],
    compared: Mapping[str, Any] | None,
    peers: Mapping[str, Any] | None,
) -> str:
    """Where it falls short, found in the same figures."""
    lines = []
    for row in bench["end_to_end"]:
        if row["status"] == "ok" and row["keeps_up_mev_per_s"] < row["mev_per_s"]:
            lines.append(
                f"{row['model']} on {row['runtime']}, {row['width']}×{row['height']}: of "
                f"{row['mev_per_s']:g} Mev/s, {row['keeps_up_mev_per_s']:.1f} are worked off in "
                "time"
            )
        elif row["status"] == "ok" and row["with_face"] < row["instants"]:
            lines.append(
                f"{row['model']} on {row['runtime']}, {row['width']}×{row['height']}, "
                f"{row['mev_per_s']:g} Mev/s: no face at {row['instants'] - row['with_face']} of "
                f"{row['instants']} instants"
            )
    for row in bench["network"]:
        fraction = row.get("fraction_of_peak")
        if fraction is not None and fraction < 0.25:
            lines.append(
                f"{row['model']} on {row['runtime']}, {row['threads']} threads: only "
                f"{fraction:.0%} of what the cores can compute"
            )
    for model in (compared or {"models": []})["models"]:
        parts = model.get("parts_percent", {})
        if parts:
            worst = max(parts, key=lambda name: parts[name])
            lines.append(f"{model['model']}: largest error at the {worst}, {parts[worst]:.2f} %")
    lines += [f"against frames, {line}" for line in (peers or {"losses": []})["losses"]]
    listed = "\n".join(f"- {line}" for line in lines) or "- nothing found in these figures"
    return f"### Where it falls short\n\n{listed}\n"


if __name__ == "__main__":
    main(sys.argv[1:] or ["results"])
