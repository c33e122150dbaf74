"""The verbs of `fusegpt data`: fetch, check, pack and show driving data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.options import Assignments, Job, Json, Source

data_app = typer.Typer(help="Fetch, check, pack and look at driving data.", no_args_is_help=True, rich_markup_mode=None)


@data_app.command("fetch", epilog="Example: fusegpt data fetch kitti --drives 0001,0005 --to data/kitti")
def data_fetch(
    source: Annotated[str, typer.Argument(help="kitti")],
    drives: Annotated[str, typer.Option(help="Drive numbers, comma-separated.")],
    to: Annotated[Path, typer.Option(help="The folder to fill; what is there is kept.")] = Path("data/kitti"),
    date: Annotated[str, typer.Option(help="The day of the recording.")] = "2011_09_26",
    url: Annotated[str, typer.Option(help="Another place of the same layout.")] = "",
    json: Json = False,
) -> None:
    """Bring drives from the data set's own public site: resumable, verified."""
    from service.commands import data as command

    command.fetch(source, drives, to, date, url, json=json)


@data_app.command("check", epilog="Example: fusegpt data check --data kitti:/data/kitti")
def data_check(job: Job = "fusion_waypoints", set_: Assignments = None, data: Source = "", json: Json = False) -> None:
    """Read every file once and report what is broken, by file."""
    from service.commands import data as command

    command.check(job, set_ or [], data, json=json)


@data_app.command("pack", epilog="Example: fusegpt data pack --data kitti:/data/kitti")
def data_pack(job: Job = "fusion_waypoints", set_: Assignments = None, data: Source = "", json: Json = False) -> None:
    """Make the packed form that training reads, and print its fingerprint."""
    from service.commands import data as command

    command.pack(job, set_ or [], data, json=json)


@data_app.command("show", epilog="Example: fusegpt data show --data world --to sample.png")
def data_show(
    job: Job = "fusion_waypoints",
    set_: Assignments = None,
    data: Source = "",
    drive: Annotated[str, typer.Option(help="A drive by name or its part; the first when left out.")] = "",
    frame: Annotated[int, typer.Option(help="A frame; the middle of the drive when left out.")] = -1,
    to: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("sample.png"),
    json: Json = False,
) -> None:
    """Draw one sample: the camera with the sweep on it, and the bird's-eye view."""
    from service.commands import data as command

    command.show(job, set_ or [], data, drive, frame, to, json=json)
