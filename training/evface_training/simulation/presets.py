"""Cameras by name."""

from __future__ import annotations

from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.readout import Readout

_BRIGHT = (1000.0, 1000.0)

#: Name → a narrow prior. Values follow data sheets and the settings of v2e where they exist, and
#: are estimates otherwise; none was fitted to a sensor.
PRESETS: dict[str, CameraPrior] = {
    "ideal": CameraPrior(
        threshold=(0.2, 0.2),
        asymmetry=(1.0, 1.0),
        mismatch=(0.0, 0.0),
        lux=_BRIGHT,
        cutoff_hz=(1e5, 1e5),
        shot_hz=(0.0, 0.0),
        leak_hz=(0.0, 0.0),
        refractory_us=(1.0, 1.0),
        hot_fraction=(0.0, 0.0),
        hot_hz=(0.0, 0.0),
        flicker_fraction=0.0,
        readout=Readout(),
    ),
    "davis346": CameraPrior(
        threshold=(0.18, 0.28),
        mismatch=(0.03, 0.05),
        lux=_BRIGHT,
        cutoff_hz=(200.0, 300.0),
        shot_hz=(0.05, 0.5),
        leak_hz=(0.05, 0.2),
        refractory_us=(300.0, 700.0),
        flicker_fraction=0.0,
        readout=Readout(max_rate_hz=12e6, tick_us=1),
    ),
    "dvxplorer": CameraPrior(
        threshold=(0.25, 0.4),
        mismatch=(0.03, 0.06),
        lux=_BRIGHT,
        cutoff_hz=(150.0, 300.0),
        shot_hz=(0.1, 1.0),
        leak_hz=(0.01, 0.05),
        refractory_us=(200.0, 800.0),
        flicker_fraction=0.0,
        readout=Readout(max_rate_hz=165e6, latency_us=100.0, tick_us=65),
    ),
    "evk4": CameraPrior(
        threshold=(0.2, 0.35),
        mismatch=(0.02, 0.04),
        lux=_BRIGHT,
        cutoff_hz=(300.0, 1000.0),
        shot_hz=(0.05, 0.5),
        leak_hz=(0.01, 0.05),
        refractory_us=(50.0, 200.0),
        flicker_fraction=0.0,
        readout=Readout(max_rate_hz=1.06e9, latency_us=100.0, tick_us=1),
    ),
    "genx320": CameraPrior(
        threshold=(0.25, 0.4),
        mismatch=(0.02, 0.05),
        lux=_BRIGHT,
        cutoff_hz=(200.0, 600.0),
        shot_hz=(0.05, 0.5),
        leak_hz=(0.01, 0.05),
        refractory_us=(50.0, 300.0),
        flicker_fraction=0.0,
        readout=Readout(max_rate_hz=20e6, latency_us=100.0, tick_us=1),
    ),
}
