"""Checks of graphics: MP4 videos and the renderer of the synthetic avatar."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes.util import find_library
from typing import Any

from evface_edge.doctor.check_result import CheckResult, Status, try_import

_VIEW = "pip install 'evface-edge[view]'"
_EGL = "sudo apt-get install -y libegl1 libgl1-mesa-dri"


def videos() -> Iterator[CheckResult]:
    """Check that MP4 can be written. PyAV includes FFmpeg's libraries."""
    name = "videos (.mp4)"
    status, version = try_import("av")
    if status is not Status.OK:
        yield CheckResult(name, status, f"PyAV: {version}; .gif works without it", _VIEW)
        return
    import av

    try:
        av.codec.Codec("libx264", "w")
    except Exception as error:  # UnknownCodecError has no public base class
        detail = f"PyAV {version} has no H.264 encoder ({error})"
        yield CheckResult(name, Status.BROKEN, detail, f"{_VIEW} --force-reinstall")
        return
    yield CheckResult(name, Status.OK, f"PyAV {version} with libx264")


def synthetic_avatar() -> Iterator[CheckResult]:
    """Check that the synthetic avatar can be rendered: moderngl and EGL."""
    name = "synthetic avatar"
    status, version = try_import("moderngl")
    if status is not Status.OK:
        yield CheckResult(name, status, f"moderngl: {version}", "pip install 'evface-edge[train]'")
        return
    import moderngl

    if find_library("EGL") is None:
        yield CheckResult(name, Status.MISSING, f"moderngl {version}, but no libEGL", _EGL)
        return
    egl: Any = "egl"  # the stubs do not know this backend
    try:
        context = moderngl.create_context(standalone=True, backend=egl, require=330)
    except Exception as error:  # moderngl raises a bare Exception here
        yield CheckResult(name, Status.BROKEN, f"EGL has no OpenGL 3.3 ({error})", _EGL)
        return
    renderer = context.info["GL_RENDERER"]
    context.release()
    yield CheckResult(name, Status.OK, f"EGL on {renderer}")
