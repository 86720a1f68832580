"""A comparison as one HTML page that opens without a network: images are inside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from evface_edge.bench.table import figure

_CAPTIONS = {
    "pareto": "Error against latency. The dotted line joins those that no other one beats in both.",
    "ced": "How many instants have an error below a given one. No face counts as a failure.",
    "landmarks": "Where the error is: mean of each landmark on the mean true face.",
    "precision": "What the lower precision costs at each landmark: red is worse than FP32, blue "
    "better.",
    "worst": "The worst instants of each: events of the last 30 ms (blue brighter, red darker), "
    "truth in white, answer in orange.",
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
.verdict { font-size: 18px; border-left: 4px solid #2a9d8f; padding-left: .8em; }
"""
#: Images that stand two in a row.
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
    "whole p50 ms",
    "MB",
)


def model_cells(report: Mapping[str, Any]) -> list[list[str]]:
    """One row for each artefact, under `HEADING`."""
    rows = []
    for model in report["models"]:
        mean, low, high = model["nme98_percent"]
        rows.append(
            [
                model["model"],
                model["precision"],
                figure(mean, 3),
                "–" if low is None else f"{low:.2f} – {high:.2f}",
                figure(model["fr10_percent"][0], 1),
                figure(model["auc10"][0], 3),
                f"{model['without_face_percent']:.1f}",
                figure(model["nmf_percent"], 3),
                f"{model['network_fast_ms']:.3f}",
                f"{model['network_p50_ms']:.3f}" + "*" * model["disturbed"],
                f"{model['network_p99_ms']:.3f}",
                f"{model['update_p50_ms']:.2f}",
                f"{model['file_mb']:.2f}",
            ]
        )
    return rows


def pair_sentences(report: Mapping[str, Any]) -> list[str]:
    """Who is better, and whether that could be chance."""
    sentences = []
    for pair in report["pairs"]:
        mean, low, high = pair["nme98_difference_percent"]
        if mean is None:
            sentences.append(f"{pair['second']} and {pair['first']}: no instant with both")
            continue
        certain = "" if low > 0 or high < 0 else ": no difference that could be told from chance"
        if max(abs(low), abs(high)) < 0.0005:
            certain = ": the same"
        sentences.append(
            f"{pair['second']} against {pair['first']}: NME-98 {mean:+.3f} points "
            f"({low:+.3f} to {high:+.3f}){certain}; {pair['speed_up']:.2f} × as fast; landmarks "
            f"{pair['apart_px']:.2f} px apart"
        )
    return sentences


def verdict(report: Mapping[str, Any]) -> str:
    """The fastest and the most accurate, and what lies between them, in a sentence or two."""
    known = [model for model in report["models"] if model["nme98_percent"][0] is not None]
    if not known:
        return "None of these models found a face."
    best = min(known, key=lambda model: model["nme98_percent"][0])
    quick = min(known, key=lambda model: model["network_fast_ms"])
    error, ms = best["nme98_percent"][0], quick["network_fast_ms"]
    if quick is best:
        return f"{best['model']} is both fastest, {ms:.2f} ms, and most accurate, {error:.2f} %."
    times = best["network_fast_ms"] / ms
    more = quick["nme98_percent"][0] - error
    low, high = _difference(report, best["model"], quick["model"])
    chance = "" if low > 0 or high < 0 else ", which may be chance"
    return (
        f"{quick['model']} is fastest: {ms:.2f} ms. {best['model']} is most accurate: {error:.2f} "
        f"%. The first is {times:.2f} × as fast, with {more:.2f} points more error{chance}."
    )


def _difference(report: Mapping[str, Any], first: str, second: str) -> tuple[float, float]:
    """Interval of the difference of two models' NME-98; of no instant with both, without end."""
    for pair in report["pairs"]:
        if {pair["first"], pair["second"]} == {first, second}:
            _, low, high = pair["nme98_difference_percent"]
            if low is not None:
                return low, high
    return float("-inf"), float("inf")


def note(report: Mapping[str, Any]) -> str:
    """How to read the figures."""
    data = report["data"]
    busy = any(model["disturbed"] for model in report["models"])
    return (
        f"{data['instants']} instants of {', '.join(data['recordings'])}, {data['rate_hz']:g} a "
        "second; every model searches for the face and follows it by itself. NME-98: mean distance "
        "÷ distance of the outer eye corners, where a face was found; intervals by bootstrap over "
        "quarters of a second. Net: the network alone, one core, in turns; whole: reading, window, "
        "tracking, network, of one instant."
        + (" * Other work took the core: compare p10." if busy else "")
    )


def page(report: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The whole document."""
    figures = "".join(
        image(images[name], caption, half=name in _HALF)
        for name, caption in _CAPTIONS.items()
        if name in images
    )
    machine = "; ".join(f"{key} {value}" for key, value in report["machine"].items())
    pairs = "".join(f"<li>{escape(sentence)}</li>" for sentence in pair_sentences(report))
    return document(
        "evface-edge compare",
        "<h1>Accuracy and latency, side by side</h1>\n"
        f'<p class="verdict">{escape(verdict(report))}</p>\n'
        f"{table(HEADING, model_cells(report))}<p><small>{escape(note(report))}</small></p>\n"
        f"<ul>{pairs}</ul>\n{figures}<h2>Error by part of the face, %</h2>\n{_parts(report)}"
        f"<h2>Machine</h2><p>{escape(machine)}</p>",
    )


def document(title: str, body: str) -> str:
    """HTML that asks for no other file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n{body}\n"
        "</body></html>\n"
    )


def image(png: bytes, caption: str, *, half: bool = False) -> str:
    """A PNG inside the page, over the whole width or half of it."""
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
    """A table of text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>\n"
    )
