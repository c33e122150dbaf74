"""The verbs of `fusegpt data`: fetch, check, pack and show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.options import Assignments, Job, Json, Source

SHOW_EXAMPLES = """Example: fusegpt data show --data world --to sample.png

fusegpt data show language_model --part val

fusegpt data show text_to_image --samples 16 --to shapes.png"""

data_app = typer.Typer(help="Fetch, check, pack and look at data.", no_args_is_help=True, rich_markup_mode=None)


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


@data_app.command("show", epilog=SHOW_EXAMPLES)
def data_show(
    job: Job = "fusion_waypoints",
    set_: Assignments = None,
    data: Source = "",
    drive: Annotated[str, typer.Option(help="Driving: a drive by name or its part; else the first.")] = "",
    frame: Annotated[int, typer.Option(help="Driving: a frame; else the middle of the drive.")] = -1,
    part: Annotated[str, typer.Option(help="Other data: train, val or test; else train.")] = "",
    at: Annotated[int, typer.Option(help="Other data: the number of the first sample.")] = 0,
    samples: Annotated[int, typer.Option(min=0, help="Other data: how many; 0 takes as many as suit.")] = 0,
    to: Annotated[
        Path | None, typer.Option(help="Where the picture of driving, digits or shapes goes; else sample.png.")
    ] = None,
    json: Json = False,
) -> None:
    """Look at samples as training reads them.

    Driving is drawn: the camera with the sweep on it, and the bird's-eye view. Digits and captioned shapes are drawn in
    a grid, pairs of texts (dates, parallel text) come as a table, and text with each token on a colour of its own.
    """
    from service.commands import data as command
    from service.commands.samples import Asked

    command.show(job, set_ or [], data, drive, frame, Asked(part, at, samples, to), json=json)
