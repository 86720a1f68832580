"""Write docs/models.md; the tables come from the cards inside the bundled models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evface_edge.card import ModelCard
from evface_edge.card_file import read_card
from evface_edge.models import FOLDER

EVALUATIONS = Path(__file__).parents[1] / "docs" / "evaluations"
DOCUMENT = Path(__file__).parents[1] / "docs" / "models.md"
SETS = ("normal", "fast", "dark", "still")
COLUMNS = {
    "nme68_percent": "NME-68 %",
    "nme98_percent": "NME-98 %",
    "nme68_median_percent": "median NME-68 %",
    "nme5_percent": "NME-5 %",
    "fr10_faces_percent": "faces beyond 10 %",
    "fr10_points_percent": "points beyond 10 %",
    "auc10_faces": "AUC@10 of faces",
    "auc10_points": "AUC@10 of points",
    "sigma_ratio": "error ÷ σ",
}
#: What cards of before 0.2 call the same figures.
OLD_NAMES = {"fr10_faces_percent": "failure_rate_percent", "auc10_faces": "auc"}

HEAD = """\
# Bundled models

Written by `python tools/write_models_doc.py` from the cards inside the models; `evface-edge
models` prints the same.

Error is the mean distance of the points ÷ the distance between the outer eye corners, on faces
labelled by hand, of people (or photographs) that training never saw: the validation identities of
`training/evface_training/data/validation_identities.txt`. Each face becomes a recording of 46 to
280 ms through our own simulator, and goes through `Predictor.run(events, box=…)`, whose box is the
true one moved and scaled by about 4 %; the last result is compared. With a box, a result is the
mean of two looks that agree, the second of them in a mirror. **No figure here comes from a
real event camera**: no recording with landmarks was at hand.

The table of each model is from its card. The last section has the INT8 model on all ten sets, by
light, speed, events and yaw ([simulation.md](simulation.md) says what the sets are).

| set | what |
|---|---|
| normal | 40 to 160 px/s for a face 96 px tall; ordinary camera |
| fast | 500 to 1,500 px/s |
| dark | as normal, at 0.1 to 1 lux |
| still | 3 to 10 px/s |
"""

TAIL = """
## Known failures

Seen among the ten worst faces of each set (`evface-edge evaluate --worst sheet.png`):

- heads turned by about 45° and more: most of the worst of every set; the guess stays too frontal;
- a mouth wide open, or a long chin: the lower lip and the chin come out too high;
- a hat, glasses or hair in place of the brows;
- in the dark, a face that hardly stands out of the noise;
- almost no motion: there is nothing to see, the points are a mean face in the box, and σ says so;
- closed eyes: lids do not close wholly in the landmarks, so a blink is told by how far they are
  open against their own course (12 of 12 found on two avatars, none too many:
  [tracking.md](tracking.md));
- tiny faces: a box below 32 pixels is not tried by the face detector.

![The six worst of 80 avatars: normal light, dark, nearly still](failures.png)

Avatars, since photographs are not ours to show: events, the truth in white, the guess in
orange, NME-98. Turned heads lead, then noise in the dark; without motion, the guess is a mean face.

```bash
evface-edge evaluate evface-s-int8 --data 'avatars?people=20&stills=4&seed=1000000' \\
    --condition normal --condition dark --condition still --worst sheet.png   # ten of each
```

What is not a face is told from one by presence, by σ relative to the size of the box, and by
whether the points stay where they are when the box is moved. On fifteen real recordings without a
close face (hands, objects, people walking by, a street, sensor noise), each in 24 variants, and on
made scenes, 10,853 seconds in all, there was not one false face: at most one an hour, by Poisson,
95 %.
"""


def main() -> None:
    parts = [HEAD]
    for path in sorted(FOLDER.glob("*.onnx")):
        parts.append(_section(path, read_card(path)))
    for path in sorted(EVALUATIONS.glob("evface-*.json")):
        parts.append(_evaluated(json.loads(path.read_text())))
    DOCUMENT.write_text("\n".join(parts) + TAIL, encoding="utf-8")


def _evaluated(found: dict[str, Any]) -> str:
    """Sets, bins and presence, as `evface-edge evaluate -o` left them."""
    presence = found["presence"]
    lines = [f"## {found['model']}, {found['precision']}, on all sets", ""]
    groups = {"set": found["sets"], **found["bins"]}
    for title, rows in groups.items():
        lines += [
            f"| {title} | faces | " + " | ".join(COLUMNS.values()) + " |",
            "|---|" + "---|" * (1 + len(COLUMNS)),
        ]
        for name, row in rows.items():
            shown = [f"{row['faces']:.0f}"]
            shown += ["–" if row.get(key) is None else f"{row[key]:.2f}" for key in COLUMNS]
            lines.append(f"| {name} | " + " | ".join(shown) + " |")
        lines.append("")
    lines.append(
        f"Presence on {presence['faces']:.0f} faces and {presence['others']:.0f} moving textures: "
        f"area under the ROC {presence['roc_area']:.4f}; at the card's threshold "
        f"{presence['faces_accepted_percent']:.1f} % of the faces and "
        f"{presence['others_accepted_percent']:.1f} % of the textures pass."
    )
    return "\n".join([*lines, ""])


def _section(path: Path, card: ModelCard) -> str:
    lines = [f"## {path.stem}", ""]
    lines += [f"- {card.precision}, version {card.version}, {path.stat().st_size / 1e6:.2f} MB"]
    lines += [f"- {key}: {value}" for key, value in card.training.items()]
    if card.calibration:
        lines += [f"- calibration: {', '.join(f'{k} {v}' for k, v in card.calibration.items())}"]
    window = card.window
    lines += [
        f"- window: {window.events_per_px:g} events a pixel of the crop, {window.min_events:,} to "
        f"{window.max_events:,}, none older than {window.max_duration_us / 1000:g} ms",
        "",
        "| set | faces | " + " | ".join(COLUMNS.values()) + " |",
        "|---|" + "---|" * (1 + len(COLUMNS)),
    ]
    for name in SETS:
        values = [
            card.metrics.get(f"{name}_{key}", card.metrics.get(f"{name}_{OLD_NAMES.get(key)}"))
            for key in COLUMNS
        ]
        shown = [f"{card.metrics[f'{name}_faces']:.0f}"]
        shown += ["–" if value is None else f"{value:.2f}" for value in values]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
