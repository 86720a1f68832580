"""The header of Prophesee RAW and DAT files: lines of `% key value`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evface_edge.errors import EventFormatError
from evface_edge.events.formats.base import header_size
from evface_edge.geometry import SensorSize

# Files from before 2022 name only the sensor, by its plugin or its system number.
_SENSORS = (
    (re.compile(r"genx320", re.IGNORECASE), SensorSize(320, 320)),
    (re.compile(r"imx636|imx646|gen4", re.IGNORECASE), SensorSize(1280, 720)),
    (re.compile(r"gen3", re.IGNORECASE), SensorSize(640, 480)),
)
_LIMIT_BYTES = 1 << 20
_TEXT = re.compile(rb"[^\x00-\x08\x0e-\x1f\x7f]*")
_ENCODINGS = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}

#: Our own key: whole periods before the first event, which the timestamps of the code leave out.
TIME_ORIGIN = "evface_time_origin_us"


@dataclass(frozen=True)
class PropheseeHeader:
    """The fields, with keys in lower case, and the byte offset after the header."""

    fields: Mapping[str, str]
    end: int

    @property
    def encoding(self) -> str | None:
        """ "EVT2", "EVT21", "EVT3" or another name; None if the header names none."""
        form = self.fields.get("format")
        if form:
            return form.split(";")[0].strip().upper()
        version = self.fields.get("evt")
        return _ENCODINGS.get(version, f"EVT {version}") if version else None

    @property
    def format_options(self) -> dict[str, str]:
        """The options after the name, as in `% format EVT3;height=720;width=1280`."""
        parts = self.fields.get("format", "").split(";")[1:]
        pairs = (part.partition("=") for part in parts)
        return {key.strip().lower(): value.strip() for key, _, value in pairs}

    def time_origin_us(self, path: Path) -> int:
        text = self.fields.get(TIME_ORIGIN, "0")
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise EventFormatError(f"the header states {TIME_ORIGIN} {text!r}", path=path)
        return int(text)

    def size(self, path: Path) -> SensorSize | None:
        """The size that the header states, or that of the sensor it names; None without both.

        Raises:
            EventFormatError: no sensor can have the size.
        """
        options = self.format_options
        geometry = re.fullmatch(r"([0-9]{1,6})\s*x\s*([0-9]{1,6})", self.fields.get("geometry", ""))
        for width, height in (
            (options.get("width"), options.get("height")),
            geometry.groups() if geometry else (None, None),
            (self.fields.get("width"), self.fields.get("height")),
        ):
            if width is None or height is None:
                continue
            if not (re.fullmatch(r"[0-9]{1,6}", width) and re.fullmatch(r"[0-9]{1,6}", height)):
                raise EventFormatError(
                    f"the header states a sensor of {width!r} by {height!r} pixels", path=path
                )
            return header_size(path, int(width), int(height))
        sensor = " ".join(
            self.fields.get(key, "") for key in ("sensor_name", "generation", "plugin_name")
        )
        generation = self.fields.get("sensor_generation")
        if generation:
            sensor += f" gen{generation}"
        for pattern, known in _SENSORS:
            if pattern.search(sensor):
                return known
        return None


def parse(head: bytes) -> PropheseeHeader:
    """The header at the start of `head`; empty, with end 0, if there is none."""
    fields: dict[str, str] = {}
    end = 0
    # Percent and blank: data may begin with a percent sign, and hold line ends.
    while head[end : end + 2] == b"% ":
        stop = head.find(b"\n", end)
        if stop < 0 or not _TEXT.fullmatch(head, end, stop):
            break
        line = head[end + 1 : stop].decode("latin-1").strip()
        end = stop + 1
        if line.lower() == "end":
            break
        key, _, value = line.partition(" ")
        fields.setdefault(key.lower(), value.strip())
    return PropheseeHeader(fields, end)


def read(path: Path) -> PropheseeHeader:
    """The header of a file.

    Raises:
        EventFormatError: the header does not end.
    """
    with path.open("rb") as file:
        head = file.read(_LIMIT_BYTES)
    header = parse(head)
    if len(head) == _LIMIT_BYTES and header.end > _LIMIT_BYTES - 4096:
        raise EventFormatError("the header does not end within 1 MiB", path=path)
    return header


def build(encoding: str, size: SensorSize, origin_us: int) -> bytes:
    """The header of a RAW file with that encoding."""
    lines = [
        f"% evt {next(key for key, value in _ENCODINGS.items() if value == encoding)}",
        f"% format {encoding};height={size.height};width={size.width}",
        f"% geometry {size.width}x{size.height}",
    ]
    if origin_us:
        lines.append(f"% {TIME_ORIGIN} {origin_us}")
    return "\n".join([*lines, "% end", ""]).encode()
