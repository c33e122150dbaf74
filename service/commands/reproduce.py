"""`fusegpt reproduce`: run one trial again, and say whether its number came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer

from service.cli import show
from service.errors import JobFailed, Refused
from service.progress import Progress
from service.reproduce import Difference, Reproduction, differences, original, other_data
from service.reproduce import reproduce as again
from service.settings import Settings

SAID = {"exact": "came back exactly", "within": "came back within the tolerance", "other": "did not come back"}


def reproduce(name: str, trial: str, *, tolerance: float, anyway: bool, json: bool) -> None:
    """Raises JobFailed where the number did not come back, and Refused where the data is other data."""
    settings = Settings.read()
    first = original(name, trial, settings)
    found = differences(first, settings)
    for line in [*_told(found), *([f"it is {first.course}"] if first.course else [])]:
        typer.echo(line, err=json)
    if (data := other_data(found)) and not anyway:
        raise Refused(
            f"data: {name} learnt from {data.then}, and here is {data.now}; its numbers cannot come back "
            "(--anyway runs it all the same)"
        )
    came = again(first, found, settings, [Progress.on_terminal(json=json)], tolerance)
    if json:
        show(asdict(came))
    if came.verdict == "other":
        raise JobFailed(_said(came))
    if not json:
        typer.echo(_said(came))


def _told(found: Sequence[Difference]) -> list[str]:
    if not found:
        return ["nothing is known to be other than it was: same commit, versions and data"]
    return [
        f"other than it was: {each.what} was {each.then or 'not recorded'}, is {each.now or 'unknown'}"
        for each in found
    ]


def _said(came: Reproduction) -> str:
    where = f"; the first epoch that differs is {came.first_other} of {came.epochs}" if came.first_other else ""
    return f"{came.name}: {came.metric} {came.now:.6g}, was {came.then:.6g}: it {SAID[came.verdict]}{where}"
