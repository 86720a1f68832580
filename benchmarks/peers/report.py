"""Numbers → tables for a terminal and a document, and one page that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers.clips import LIGHTS_LUX, SPEEDS_DEG_PER_S
from benchmarks.peers.figures import bin_name
from evface_edge.bench.output import markdown_table, number
from evface_edge.compare.page import document, image, table

HEADING = (
    "what",
    "looks at",
    "found %",
    "NME-51 %",
    "median",
    "AUC@10",
    "NME-5 %",
    "median",
    "AUC@10",
    "CPU ms",
)

CAPTIONS = {
    "board": "Light and speed: where events overtake frames.",
    "curves": "The same over speed, for each light: lower is better.",
    "examples": "The same clips as each sees them; truth in white, answer in orange.",
}


def cells_of_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """One row for each way, under `HEADING`."""
    return [
        [
            row["name"],
            row["source"],
            f"{row['found_percent']:.1f}",
            *_of(row.get("nme51")),
            *_of(row.get("nme5")),
            f"{row['cpu_ms']:.2f}",
        ]
        for row in report["rows"]
    ]


def _of(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["–"] * 3
    mean, low, high = (*found["mean_percent"], None, None)[:3]
    interval = "" if low is None else f" ({low:.2f}–{high:.2f})"
    auc = found["auc10"][0]
    return [number(mean) + interval, number(found["median_percent"]), number(auc, 3)]


def grid(report: Mapping[str, Any], against: str) -> tuple[list[str], list[list[str]]]:
    """Light × speed: ours and the best peer there, median % each, and who is better."""
    heading = ["light", *(f"{low:g}–{high:g} °/s" for low, high in SPEEDS_DEG_PER_S)]
    rows = []
    for light, (low, high) in enumerate(LIGHTS_LUX):
        row = [f"{low:g}–{high:g} lux"]
        for entry in report["overtakes"][against]:
            if entry["light"] == light:
                row.append(_cell(entry))
        rows.append(row)
    return heading, rows


def _cell(entry: Mapping[str, Any]) -> str:
    if "better" not in entry:
        return "–"
    ours, theirs = (_percent(entry[who]["median_percent"]) for who in ("ours", "theirs"))
    who = {"ours": "events", "peer": f"frames ({entry['peer']})", "even": "even"}[entry["better"]]
    return f"{ours} against {theirs}: {who}"


def _percent(value: float | None) -> str:
    return "no face" if value is None else f"{value:.1f} %"


def notes(report: Mapping[str, Any]) -> list[str]:
    """How to read the figures."""
    data, headline = report["data"], report["headline"]
    lines = [
        f"{data['clips']} clips: {data['people']} faces ({data['source']}), each at "
        f"{len(LIGHTS_LUX)} lights and {len(SPEEDS_DEG_PER_S)} speeds, "
        f"{data['side_px']}×{data['side_px']} pixels, the face half as tall. Simulated: events by "
        "this project's camera model, and the RGB frame of the last instant by an ordinary camera "
        "at the same place (2 to 33 ms of exposure, photon and read noise, gain up to 64).",
        "Followed: the box of the face is known, moved and scaled as a tracker's would be; what "
        "the model's own limits do not take for a face has failed. Searched: nothing is known "
        "before the clip, which lasts 0.03 to 0.28 s. Peers search the whole frame.",
        "NME-51: the 51 points of iBUG's 68 that do not lie on the outline, ÷ distance of the "
        "outer eye corners. NME-5: pupils, tip of the nose, corners of the mouth, ÷ distance of "
        "the pupils. Means are of the faces found; medians and AUC@10 count no face as infinite "
        "error. Intervals: 95 %, bootstrap over people.",
        "Points of peers are translated in their favour: for each common point the nearest of "
        f"theirs, with the median offset that is left on {data['stills']} sharp stills of other "
        "people. "
        + "; ".join(
            f"{name}, {error}: {fitted['raw_percent']:.2f} % without offsets, "
            f"{fitted['left_percent']:.2f} % with"
            for name, errors in report["translations"].items()
            for error, fitted in errors.items()
        )
        + ". Ours get no such correction; they learned the scheme of these labels.",
        "MediaPipe sees the frame as it is; YuNet sees it enlarged to 320 pixels, least score 0.5. "
        "Its points are coarse on sharp stills already, at any size. Some pupils of these labels "
        "were set by MediaPipe's own mesh.",
        "Summed: polarities that fade; PIE-Net (package event-pienet): the one learned "
        "reconstruction found on the package index whose weights come with it; evlib, evutils and "
        "event-vision-library fetch or want those of E2VID from elsewhere.",
        "CPU ms: time of the processor, all threads, for one instant: events or a finished RGB "
        "frame to landmarks; for PIE-Net, of the whole clip.",
    ]
    if headline["error"] == "nme51":
        lines.append(
            "The best peer of a square is picked there anew, with the truth in hand: a user would "
            "have to choose one beforehand."
        )
    for name, reason in report["left_out"].items():
        lines.append(f"Left out: {name} ({reason}).")
    return lines


def latency_rows(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Networks alone; the ratio is to the first."""
    heading = ["network alone", "CPU ms (p10)", "÷ first"]
    times = report["network_cpu_ms"]
    first = next(iter(times.values()))
    rows = [[name, f"{value:.3f}", f"{value / first:.2f}"] for name, value in times.items()]
    return heading, rows


LATENCY_NOTE = (
    "One thread, in turns, in one run. The CMFA network is the published architecture built by "
    "this project, in PyTorch, events and RGB in, with weights that were never trained: this is "
    "its time only, no accuracy of it is claimed here."
)


def markdown(report: Mapping[str, Any]) -> str:
    """For docs/reference/benchmarks.md."""
    parts = [markdown_table(HEADING, cells_of_rows(report))]
    parts.append("\n".join(f"- {note}" for note in notes(report)))
    for against in report["overtakes"]:
        parts.append(
            f"**Where events overtake: {report['headline']['ours']} against {against}**, median "
            f"NME-{report['headline']['error'][3:]}, and who is better beyond chance in AUC@10:"
        )
        parts.append(markdown_table(*grid(report, against)))
    if report["network_cpu_ms"]:
        parts += [markdown_table(*latency_rows(report)), LATENCY_NOTE]
    return "\n\n".join(parts) + "\n"


def page(report: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """All of it as one file."""
    body = ["<h1>Events against frames, on the same clips</h1>"]
    body += [image(images[name], said) for name, said in CAPTIONS.items() if name in images]
    body.append(table(HEADING, cells_of_rows(report)))
    body.append("<ul>" + "".join(f"<li>{_escape(note)}</li>" for note in notes(report)) + "</ul>")
    if report["network_cpu_ms"]:
        body += [table(*latency_rows(report)), f"<p><small>{_escape(LATENCY_NOTE)}</small></p>"]
    body.append("<h2>Where we lose</h2>")
    lost: Sequence[str] = report["losses"] or ["nowhere"]
    body.append("<ul>" + "".join(f"<li>{_escape(line)}</li>" for line in lost) + "</ul>")
    machine = "; ".join(f"{key} {value}" for key, value in report["machine"].items())
    body.append(f"<h2>Machine</h2><p>{_escape(machine)}</p>")
    return document("evface-edge: events against frames", "\n".join(body))


def _escape(text: str) -> str:
    from html import escape

    return escape(text)


def csv_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each way, bin of light and bin of speed."""
    found = []
    for error, entries in report["cells"].items():
        for entry in entries:
            for name, values in entry["of"].items():
                mean, low, high = (*values["mean_percent"], None, None)[:3]
                found.append(
                    {
                        "what": name,
                        "bin": bin_name(entry),
                        "error": error,
                        "clips": values["clips"],
                        "mean_percent": mean,
                        "low": low,
                        "high": high,
                        "median_percent": values["median_percent"],
                        "fr10_percent": values["fr10_percent"],
                        "auc10": values["auc10"][0] if values["auc10"] else None,
                    }
                )
    return found
