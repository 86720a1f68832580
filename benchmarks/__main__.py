"""One entry point for all measurements: `python -m benchmarks NAME [OPTIONS]`."""

from __future__ import annotations

import runpy
import sys

#: Name → (module, what it measures).
BENCHMARKS: dict[str, tuple[str, str]] = {
    "events": ("benchmarks.events.command", "Speed of readers and representations beside peers."),
    "peers": ("benchmarks.peers.command", "Accuracy beside face landmarkers for RGB frames."),
    "fuzz_events": ("benchmarks.fuzz_events", "Damaged recordings of every format."),
    "simulation": ("benchmarks.simulation", "Speed of the event simulator."),
    "other_simulators": ("benchmarks.other_simulators", "Students on events of other simulators."),
    "noise": ("benchmarks.noise", "Noise of real recordings beside the simulated noise."),
    "model_sizes": (
        "benchmarks.model_sizes",
        "Students beside teachers: error, size, latency.",
    ),
    "emulation": ("benchmarks.emulation.command", "The same landmarks on emulated processors."),
}


def main() -> int:
    """Run one benchmark; its options are what follows its name."""
    name, *options = sys.argv[1:] or ["--help"]
    if name in BENCHMARKS:
        module, _ = BENCHMARKS[name]
        sys.argv = [f"python -m benchmarks {name}", *options]
        runpy.run_module(module, run_name="__main__")
        return 0
    wrong = name not in ("-h", "--help")
    out = sys.stderr if wrong else sys.stdout
    if wrong:
        out.write(f"error: no benchmark {name!r}\n\n")
    out.write("usage: python -m benchmarks NAME [OPTIONS]\n\n")
    for known, (_, text) in BENCHMARKS.items():
        out.write(f"  {known:<20} {text}\n")
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
