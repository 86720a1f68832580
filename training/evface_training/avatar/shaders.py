"""The shaders in `glsl/`: one light model, skin, eyes behind its lids, and plain parts.

All shading is in head coordinates (mm). Eyes are windows in the skin: a fragment between the lids
shades the eyeball that its ray of sight hits, so that lids are sharp at every size.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "glsl"
_VERSION = "#version 330\n"
# The output of a fragment: its light, and a coverage of 1 that antialiasing makes a fraction.
_COLOR_OUTPUT = """
out vec4 result;
vec4 shown(vec3 color) { return vec4(clamp(color, 0.0, 1.0), 1.0); }
"""
_GREY_OUTPUT = """
out vec2 result;
vec2 shown(vec3 color) {
    return vec2(dot(clamp(color, 0.0, 1.0), vec3(0.2126, 0.7152, 0.0722)), 1.0);
}
"""


def vertex_shader(name: str) -> str:
    return _VERSION + _read("project.glsl") + _read(f"{name}.vert")


def fragment_shader(name: str, color: bool) -> str:
    """Return a shader that writes RGB and coverage, or luminance and coverage."""
    output = _COLOR_OUTPUT if color else _GREY_OUTPUT
    return _VERSION + output + _read("light.glsl") + _read(f"{name}.frag")


def _read(file: str) -> str:
    return (_FOLDER / file).read_text(encoding="utf-8")
