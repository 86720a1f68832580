"""What draws: videos, and the synthetic avatar."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes.util import find_library
from typing import Any

from evface_edge.doctor.finding import Finding, State, try_import

_VIEW = "pip install 'evface-edge[view]'"
_EGL = "sudo apt-get install -y libegl1 libgl1-mesa-dri"


def videos() -> Iterator[Finding]:
    """Whether MP4 can be written; PyAV carries the libraries of FFmpeg, no program is needed."""
    state, text = try_import("av")
    if state is not State.OK:
        yield Finding("videos (.mp4)", state, f"PyAV is {text}; .gif needs nothing", _VIEW)
        return
    import av

    try:
        av.codec.Codec("libx264", "w")
    except Exception as error:  # PyAV: UnknownCodecError, of no public base
        why = f"PyAV {text} has no H.264 encoder ({error})"
        yield Finding("videos (.mp4)", State.BROKEN, why, f"{_VIEW} --force-reinstall")
        return
    yield Finding("videos (.mp4)", State.OK, f"PyAV {text} with libx264")


def synthetic_avatar() -> Iterator[Finding]:
    """Whether the synthetic avatar can be rendered: moderngl, and EGL."""
    name = "synthetic avatar"
    state, text = try_import("moderngl")
    if state is not State.OK:
        mend = "pip install 'evface-edge[train]'"
        yield Finding(name, state, f"moderngl is {text}", mend)
        return
    import moderngl

    if find_library("EGL") is None:
        yield Finding(name, State.MISSING, f"moderngl {text}, and no libEGL", _EGL)
        return
    egl: Any = "egl"  # declared otherwise than documented
    try:
        context = moderngl.create_context(standalone=True, backend=egl, require=330)
    except Exception as error:  # moderngl raises bare Exception here
        yield Finding(name, State.BROKEN, f"EGL gives no OpenGL 3.3 ({error})", _EGL)
        return
    renderer = context.info["GL_RENDERER"]
    context.release()
    yield Finding(name, State.OK, f"EGL on {renderer}")
