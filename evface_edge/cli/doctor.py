"""`evface-edge doctor`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

_MARKS = {"ok": "✓", "missing": "–", "broken": "✗"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Say what is installed, what is missing, what is broken, and the command that mends it.

    Looks at Python and packages, bundled models, runtimes and the devices that each really offers,
    drivers of cameras, USB and udev rules, videos and the synthetic avatar. Changes nothing. Ends
    with 1 when something that is installed is broken; what is missing is no error.

    \b
    Examples:
      evface-edge doctor
      evface-edge doctor --json
    """
    from evface_edge.doctor import State, examine

    found = examine()
    broken = [f.name for findings in found.values() for f in findings if f.state is State.BROKEN]
    if as_json:
        checks = [
            {"group": heading, **dataclasses.asdict(finding), "state": finding.state.value}
            for heading, findings in found.items()
            for finding in findings
        ]
        typer.echo(json.dumps({"ok": not broken, "checks": checks}))
    else:
        for heading, findings in found.items():
            typer.echo(heading)
            width = max((len(finding.name) for finding in findings), default=0)
            for finding in findings:
                mark = _MARKS[finding.state.value]
                typer.echo(f"  {mark} {finding.name:<{width}}  {finding.found}")
                if finding.mend:
                    typer.echo(f"    {'':<{width}}  → {finding.mend}")
            typer.echo()
        typer.echo("✓ there   – missing: install it if you want it   ✗ broken")
        if broken:
            typer.echo(f"broken: {', '.join(broken)}")
    if broken:
        raise typer.Exit(1)
