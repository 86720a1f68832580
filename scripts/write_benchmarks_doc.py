"""Write docs/benchmarks.md from what the commands measured; nothing in it is typed by hand.

    evface-edge bench -o results
    evface-edge compare evface-s-fp32 evface-s-int8 -o results
    python scripts/compare_peer_yunet.py yunet.onnx --json results/peer.json      # if you like
    python scripts/write_benchmarks_doc.py results

Folders of several machines may be given; each becomes a chapter.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evface_edge.bench.report import as_markdown
from evface_edge.bench.table import markdown_table
from evface_edge.compare.page import HEADING, model_cells, note, pair_sentences

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"

HEAD = """\
# Benchmarks

Written by `python scripts/write_benchmarks_doc.py results` from what `evface-edge bench -o results`
and `evface-edge compare -o results` measured. Run the same two commands to get your own; ratios
within one run mean more than milliseconds, which depend on what else the machine does.

**Never run so far:** a Jetson (`examples/jetson_benchmark.sh` does the whole matrix there), any
GPU or NPU, TensorRT, the readers of energy on a real sensor (they are tested against recorded
output), and peers on RGB frames.

**Accuracy below is on simulated events.** No recording of a real event camera with landmarks was at
hand; `docs/models.md` has the figures of more faces.
"""


def main(folders: list[str]) -> None:
    chapters = [HEAD]
    for folder in map(Path, folders):
        bench = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
        compared_path = folder / "compare.json"
        compared = None
        if compared_path.is_file():
            compared = json.loads(compared_path.read_text(encoding="utf-8"))
        machine = bench["machine"]
        chapters.append(f"## {machine.get('board') or machine['processor']}\n")
        chapters.append(as_markdown(bench) + "\n")
        if compared is not None:
            chapters.append(_accuracy(compared))
        peer_path = folder / "peer.json"
        if peer_path.is_file():
            chapters.append(_peer(json.loads(peer_path.read_text(encoding="utf-8"))))
        chapters.append(_shortfalls(bench, compared))
    DOCUMENT.write_text("\n".join(chapters), encoding="utf-8")


def _accuracy(compared: Mapping[str, Any]) -> str:
    pairs = "\n".join(f"- {sentence}" for sentence in pair_sentences(compared))
    table = markdown_table(HEADING, model_cells(compared))
    return f"### Accuracy\n\n{table}\n\n{note(compared)}\n\n{pairs}\n"


def _peer(rows: list[dict[str, Any]]) -> str:
    """What one would do without us, at the same instants."""
    cells = [["–" if value is None else str(value) for value in row.values()] for row in rows]
    text = (
        "`python scripts/compare_peer_yunet.py yunet.onnx --json results/peer.json`: events summed "
        "with fading into frames, and YuNet on them, by the five points that both know, ÷ distance "
        "of the pupils. YuNet finds faces, and was trained on photographs: this is what is at "
        "hand for frames, not the best that frames allow."
    )
    return f"### A peer on rebuilt frames\n\n{text}\n\n{markdown_table(list(rows[0]), cells)}\n"


def _shortfalls(bench: Mapping[str, Any], compared: Mapping[str, Any] | None) -> str:
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
        share = row.get("share_of_peak")
        if share is not None and share < 0.25:
            lines.append(
                f"{row['model']} on {row['runtime']}, {row['threads']} threads: only {share:.0%} "
                "of what the cores can compute"
            )
    for model in (compared or {"models": []})["models"]:
        parts = model.get("parts_percent", {})
        if parts:
            worst = max(parts, key=lambda name: parts[name])
            lines.append(f"{model['model']}: largest error at the {worst}, {parts[worst]:.2f} %")
    listed = "\n".join(f"- {line}" for line in lines) or "- nothing found in these figures"
    return f"### Where it falls short\n\n{listed}\n"


if __name__ == "__main__":
    main(sys.argv[1:] or ["results"])
