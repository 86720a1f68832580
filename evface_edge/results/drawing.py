"""Events and landmarks as an image: needs Pillow.

The image is the sensor, enlarged by a whole factor if it is small, over a line of text. Landmarks
are drawn at subpixel accuracy: the centre of sensor pixel x lies at `(x + 0.5) · scale - 0.5`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from evface_edge import landmarks as wflw
from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.view_frames import ViewFrame

Colour = tuple[int, int, int]

BACKGROUND: Colour = (11, 14, 20)
BRIGHTER: Colour = (116, 152, 226)
DARKER: Colour = (214, 96, 74)
PANEL: Colour = (22, 27, 37)
TEXT: Colour = (198, 206, 220)

#: Points that share a colour.
GROUP_COLOURS: tuple[tuple[slice, Colour], ...] = (
    (wflw.CONTOUR, (222, 226, 236)),
    (wflw.RIGHT_BROW, (255, 209, 92)),
    (wflw.LEFT_BROW, (255, 209, 92)),
    (wflw.NOSE, (92, 236, 150)),
    (wflw.RIGHT_EYE, (66, 226, 255)),
    (wflw.LEFT_EYE, (66, 226, 255)),
    (wflw.OUTER_LIPS, (255, 112, 178)),
    (wflw.INNER_LIPS, (255, 160, 208)),
    (slice(wflw.RIGHT_PUPIL, wflw.LEFT_PUPIL + 1), (255, 255, 255)),
)
STATE_COLOURS: dict[FaceState, Colour] = {
    FaceState.FOUND: (66, 226, 255),
    FaceState.FOLLOWING: (92, 236, 150),
    FaceState.HELD: (255, 180, 60),
}

POINT_COLOURS: tuple[Colour, ...] = tuple(
    colour for group, colour in GROUP_COLOURS for _ in range(group.start, group.stop)
)
_SIDE_PX = 720  # small sensors are enlarged towards this
_MAX_SCALE = 6
_MIN_WIDTH_PX = 360  # for the line of text
_LINE_PX = 26
_FONT_PX = 13

# The colour of a pixel depends on up to this many events of each polarity.
_MOST_EVENTS = 3


def _event_colours() -> NDArray[np.uint8]:
    """Colours (16, 3) by number of events: index = brighter · 4 + darker, each at most 3."""
    number = np.arange((_MOST_EVENTS + 1) ** 2)
    brighter, darker = np.divmod(number, _MOST_EVENTS + 1)
    total = np.maximum(brighter + darker, 1)
    hue = (brighter[:, None] * np.array(BRIGHTER) + darker[:, None] * np.array(DARKER)) / total[
        :, None
    ]
    strength = np.array([0.0, 0.62, 0.82, 1.0])[np.maximum(brighter, darker)][:, None]
    mixed = np.array(BACKGROUND) * (1 - strength) + hue * strength
    colours: NDArray[np.uint8] = mixed.round().astype(np.uint8)
    return colours


EVENT_COLOURS = _event_colours()


def image_scale(size: SensorSize) -> int:
    """The factor by which the sensor is enlarged: a whole number, 1 from 361 pixels on."""
    return min(max(_SIDE_PX // max(size.width, size.height), 1), _MAX_SCALE)


def event_image(events: EventArray, size: SensorSize) -> NDArray[np.uint8]:
    """Events inside `size` → RGB (height, width, 3) uint8: brighter is blue, darker is red."""
    image: NDArray[np.uint8] = EVENT_COLOURS[event_indices(events, size)]
    return image


def event_indices(events: EventArray, size: SensorSize) -> NDArray[np.uint8]:
    """Events inside `size` → rows of `EVENT_COLOURS`, (height, width) uint8."""
    pixels = size.width * size.height
    address = events["y"].astype(np.intp) * size.width + events["x"]
    is_brighter = events["p"] == 1
    brighter = np.bincount(address[is_brighter], minlength=pixels)
    darker = np.bincount(address[~is_brighter], minlength=pixels)
    index = np.minimum(brighter, _MOST_EVENTS) * (_MOST_EVENTS + 1)
    index += np.minimum(darker, _MOST_EVENTS)
    return index.astype(np.uint8).reshape(size.height, size.width)


def face_image(
    events: EventArray,
    faces: Iterable[FaceLandmarks],
    size: SensorSize,
    *,
    left_text: str = "",
    right_text: str = "",
) -> Image.Image:
    """Events and faces over a line of text.

    Width and height of the image are even, as video needs it, and depend on `size` only.
    """
    scale = image_scale(size)
    sensor = Image.fromarray(event_image(events, size))
    sensor = sensor.resize((size.width * scale, size.height * scale), Image.Resampling.NEAREST)
    for face in faces:
        draw_face(sensor, face, scale)
    width = max(_even(sensor.width), _MIN_WIDTH_PX)
    image = Image.new("RGB", (width, _even(sensor.height) + _LINE_PX), BACKGROUND)
    image.paste(sensor, ((width - sensor.width) // 2, 0))
    _draw_text_line(image, left_text, right_text)
    return image


def view_frame_image(frame: ViewFrame, size: SensorSize, *, text: str = "") -> Image.Image:
    """A frame over its time and event rate; `text` is put before the rate."""
    rate = _rate(frame.rate_hz)
    no_face = frame.faces is not None and not frame.faces
    return face_image(
        frame.events,
        frame.faces or (),
        size,
        left_text=f"{frame.seconds:.2f} s" + " · no face" * no_face,
        right_text=f"{text} · {rate}" if text else rate,
    )


def draw_face(image: Image.Image, face: FaceLandmarks, scale: int) -> None:
    """Draw box, curves, points and a label into an RGB image of the enlarged sensor."""
    points = (face.landmarks.astype(np.float64) + 0.5) * scale  # pixel edges, not centres
    box_low = (np.array([face.box.x, face.box.y]) + 0.5) * scale
    box_high = box_low + np.array([face.box.width, face.box.height]) * scale
    side = float(max(*(box_high - box_low), 1.0))
    margin = 0.12 * side + 4
    low = np.floor(np.minimum(points.min(axis=0), box_low) - margin).clip(0, image.size)
    high = np.ceil(np.maximum(points.max(axis=0), box_high) + margin).clip(0, image.size)
    left, top, right, bottom = (int(edge) for edge in (*low, *high))
    if right <= left or bottom <= top:
        return  # outside the image
    # Pillow draws without anti-aliasing: draw larger, then average.
    factor = 3 if (right - left) * (bottom - top) < 400_000 else 2
    patch = image.crop((left, top, right, bottom))
    patch = patch.resize((patch.width * factor, patch.height * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(patch, "RGBA")
    origin = np.array([left, top])
    colour = STATE_COLOURS[face.state]
    _draw_corners(draw, (box_low - origin) * factor, (box_high - origin) * factor, factor, colour)
    opacity = 130 if face.state is FaceState.HELD else 255
    _draw_points(
        draw,
        (points - origin) * factor,
        face.sigma.astype(np.float64) * scale * factor,
        side * factor,
        factor,
        opacity,
    )
    image.paste(patch.reduce(factor), (left, top))
    _draw_label(image, face, (float(box_low[0]), float(box_low[1])), colour)


def _draw_points(
    draw: ImageDraw.ImageDraw,
    points: NDArray[np.float64],
    sigma: NDArray[np.float64],
    side: float,
    factor: int,
    opacity: int,
) -> None:
    """Curves, points, and a disc of radius σ around each uncertain point."""
    line = max(round(side * 0.004), factor)
    radius = max(side * 0.0055, 1.3 * factor)
    for (x, y), spread, colour in zip(points, sigma, POINT_COLOURS, strict=True):
        if spread > 1.5 * radius:
            _disc(draw, x, y, min(spread, side), (*colour, 28))
    for first, last, closed in wflw.CURVES:
        curve = [(float(x), float(y)) for x, y in points[first : last + 1]]
        curve += curve[:1] * closed
        draw.line(curve, fill=(*POINT_COLOURS[first], opacity * 3 // 5), width=line)
    for (x, y), colour in zip(points, POINT_COLOURS, strict=True):
        _disc(draw, x, y, radius, (*colour, opacity))


def _disc(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: tuple[int, int, int, int]
) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _draw_corners(
    draw: ImageDraw.ImageDraw,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    factor: int,
    colour: Colour,
) -> None:
    """The corners of the box only: the whole box would hide the contour."""
    length = 0.12 * (high - low)
    for x, along_x in ((low[0], length[0]), (high[0], -length[0])):
        for y, along_y in ((low[1], length[1]), (high[1], -length[1])):
            corner = [(x + along_x, y), (x, y), (x, y + along_y)]
            draw.line(corner, fill=(*colour, 200), width=2 * factor, joint="curve")


def _draw_label(
    image: Image.Image, face: FaceLandmarks, corner: tuple[float, float], colour: Colour
) -> None:
    text = f"face {face.face_id} · {face.state.value} · {face.presence:.0%}"
    font = ImageFont.load_default(_FONT_PX)
    width, height = int(font.getlength(text)) + 10, _FONT_PX + 7
    x = min(max(round(corner[0]), 0), max(image.width - width, 0))
    above = round(corner[1]) - height - 4
    y = min(max(above, 0), max(image.height - height, 0))
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rounded_rectangle((x, y, x + width, y + height), 4, fill=(*PANEL, 215))
    draw.text((x + 5, y + height / 2), text, fill=colour, font=font, anchor="lm")


def _draw_text_line(image: Image.Image, left_text: str, right_text: str) -> None:
    draw = ImageDraw.Draw(image)
    top = image.height - _LINE_PX
    draw.rectangle((0, top, image.width, image.height), fill=PANEL)
    font = ImageFont.load_default(_FONT_PX)
    middle = top + _LINE_PX / 2
    draw.text((10, middle), left_text, fill=TEXT, font=font, anchor="lm")
    draw.text((image.width - 10, middle), right_text, fill=TEXT, font=font, anchor="rm")


def _rate(events_per_s: float) -> str:
    for unit, factor in (("Mev/s", 1e6), ("kev/s", 1e3)):
        if events_per_s >= factor:
            return f"{events_per_s / factor:.1f} {unit}"
    return f"{events_per_s:.0f} ev/s"


def _even(length: int) -> int:
    return length + length % 2
