"""The comparison as one HTML file without external resources."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from evface_edge.bench.output import number

_CAPTIONS = {
    "pareto": "Error over latency. The dotted line joins the models that no other beats in both.",
    "ced": "Fraction of instants with an error below a limit. No face counts as a failure.",
    "landmarks": "Mean error of each landmark, on the mean face.",
    "precision": "Error added by the lower precision at each landmark: red is worse than FP32, "
    "blue is better.",
    "worst": "Instants with the largest error: events of the last 30 ms (blue: brighter, red: "
    "darker), ground truth in white, prediction in orange.",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em;
  color: #1c2330; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1em 0; font-size: 14px; }
th, td { padding: .3em .7em; border-bottom: 1px solid #d5dae3; text-align: right; }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; vertical-align: top; margin: 0 0 1.5em; max-width: 100%; }
figure.half { width: 49%; min-width: 400px; }
figcaption { color: #586174; max-width: 46em; }
img { max-width: 100%; }
small { color: #586174; }
.summary { font-size: 18px; border-left: 4px solid #2a9d8f; padding-left: .8em; }
"""
#: Images shown two in a row.
_HALF = ("pareto", "ced")

HEADING = (
    "model",
    "precision",
    "NME-98 %",
    "95 % interval",
    "FR@10 %",
    "AUC@10",
    "no face %",
    "NMF %",
    "net p10 ms",
    "p50",
    "p99",
    "result p50 ms",
    "MB",
)


def model_cells(report: Mapping[str, Any]) -> list[list[str]]:
    """Return one row for each model, under `HEADING`."""
    rows = []
    for model in report["models"]:
        mean, low, high = model["nme98_percent"]
        rows.append(
            [
                model["model"],
                model["precision"],
                number(mean, 3),
                "–" if low is None else f"{low:.2f} – {high:.2f}",
                number(model["fr10_percent"][0], 1),
                number(model["auc10"][0], 3),
                f"{model['without_face_percent']:.1f}",
                number(model["nmf_percent"], 3),
                f"{model['network_fast_ms']:.3f}",
                f"{model['network_p50_ms']:.3f}" + "*" * model["disturbed"],
                f"{model['network_p99_ms']:.3f}",
                f"{model['update_p50_ms']:.2f}",
                f"{model['file_mb']:.2f}",
            ]
        )
    return rows


def pair_sentences(report: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each pair: the differences and whether they are significant."""
    sentences = []
    for pair in report["pairs"]:
        mean, low, high = pair["nme98_difference_percent"]
        if mean is None:
            sentences.append(f"{pair['second']} and {pair['first']}: no common instant with a face")
            continue
        significant = "" if low > 0 or high < 0 else ", not significant"
        if max(abs(low), abs(high)) < 0.0005:
            significant = ", the same"
        sentences.append(
            f"{pair['second']} compared with {pair['first']}: NME-98 {mean:+.3f} points "
            f"({low:+.3f} to {high:+.3f}){significant}; {pair['speed_up']:.2f} × as fast; "
            f"landmarks differ by {pair['distance_px']:.2f} px"
        )
    return sentences


def summary(report: Mapping[str, Any]) -> str:
    """Name the fastest and the most accurate model."""
    models = [model for model in report["models"] if model["nme98_percent"][0] is not None]
    if not models:
        return "No model detected a face."
    fastest = min(models, key=lambda model: model["network_fast_ms"])
    best = min(models, key=lambda model: model["nme98_percent"][0])
    return (
        f"Fastest: {fastest['model']}, {fastest['network_fast_ms']:.2f} ms, NME-98 "
        f"{fastest['nme98_percent'][0]:.2f} %. Most accurate: {best['model']}, "
        f"{best['network_fast_ms']:.2f} ms, NME-98 {best['nme98_percent'][0]:.2f} %."
    )


def note(report: Mapping[str, Any]) -> str:
    """Explain the metrics."""
    data = report["data"]
    busy = any(model["disturbed"] for model in report["models"])
    return (
        f"{data['instants']} instants of {', '.join(data['recordings'])}, {data['rate_hz']:g} a "
        "second; every model searches for the face and follows it itself. NME-98: mean distance ÷ "
        "distance of the outer eye corners, for instants with a face; intervals: bootstrap over "
        "quarters of a second. net: the network alone, one core, interleaved; result: reading, "
        "window, tracking and network of one instant."
        + (" * Other programs used the core: compare p10." if busy else "")
    )


def page(report: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """Return the HTML document."""
    figures = "".join(
        image(images[name], caption, half=name in _HALF)
        for name, caption in _CAPTIONS.items()
        if name in images
    )
    machine = "; ".join(f"{key} {value}" for key, value in report["machine"].items())
    pairs = "".join(f"<li>{escape(sentence)}</li>" for sentence in pair_sentences(report))
    return document(
        "evface-edge compare",
        "<h1>Accuracy and latency</h1>\n"
        f'<p class="summary">{escape(summary(report))}</p>\n'
        f"{table(HEADING, model_cells(report))}<p><small>{escape(note(report))}</small></p>\n"
        f"<ul>{pairs}</ul>\n{figures}<h2>Error by part of the face, %</h2>\n{_parts(report)}"
        f"<h2>Machine</h2><p>{escape(machine)}</p>",
    )


def document(title: str, body: str) -> str:
    """Return an HTML document without external resources."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n{body}\n"
        "</body></html>\n"
    )


def image(png: bytes, caption: str, *, half: bool = False) -> str:
    """Return an embedded PNG of full or half width."""
    kind = ' class="half"' if half else ""
    return (
        f'<figure{kind}><img alt="{escape(caption)}" src="data:image/png;base64,'
        f'{base64.b64encode(png).decode()}"><figcaption>{escape(caption)}</figcaption></figure>\n'
    )


def _parts(report: Mapping[str, Any]) -> str:
    known = [model for model in report["models"] if "parts_percent" in model]
    if not known:
        return ""
    names = list(known[0]["parts_percent"])
    rows = [[m["model"], *(f"{m['parts_percent'][name]:.2f}" for name in names)] for m in known]
    return table(["model", *names], rows)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>\n"
    )
