"""`reproduce`: run one trial of an earlier search again, and say whether its number came back.

The same settings, seed and data, for as many epochs as the trial had, under a name of its own; nothing is registered.
A trial of pbt is run as it went: by the settings of those whose weights it took over, then by its own. What is known
to be other than it was (commit, versions, data) is told first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fusegpt.experiment import Experiment, parse
from fusegpt.training.folder import read_json
from fusegpt.training.history import read_history
from service import run
from service.cluster.lineage import in_words, lineage
from service.cluster.record import SEARCH, TrialRecord, read_search, read_trials, trial_folder, trial_id
from service.errors import JobFailed, NotFound, Refused
from service.events import Observer, Search
from service.settings import Settings
from service.tracking import History
from service.tracking.provenance import provenance

Verdict = Literal["exact", "within", "other"]
NAMES = {"mlflow.source.git.commit": "git commit", "mlflow.source.git.dirty": "uncommitted changes"}
DATA = "data"


@dataclass(frozen=True)
class Difference:
    """Something that is other than it was; an empty side is not known."""

    what: str
    then: str
    now: str


@dataclass(frozen=True)
class Original:
    """A trial as it was recorded: its search, its settings without a search, and the metric after each epoch.

    before: with pbt, the settings that came before its last, and until which epoch. course: the same in words.
    """

    search: Search
    number: int
    experiment: Experiment
    before: run.Course
    course: str
    values: Mapping[int, float]
    fingerprint: str


@dataclass(frozen=True)
class Reproduction:
    """What the second run came to. `first_other`: the first epoch whose figure is another; 0 where none is."""

    name: str
    metric: str
    then: float
    now: float
    verdict: Verdict
    first_other: int
    epochs: int
    differences: Sequence[Difference]


def original(name: str, trial: str, settings: Settings) -> Original:
    """The trial of this name or number. Raises NotFound, and Refused where it cannot be run again from its record."""
    folder = settings.runs / name
    if not (folder / SEARCH).is_file():
        raise NotFound(f"there is no search {name!r} in {settings.runs}: a trial is reproduced where its record is")
    search = read_search(folder)
    record = _record(search, trial)
    at = trial_folder(search, record.number)
    values = {row.epoch: row.metrics[search.metric] for row in read_history(at / "history.jsonl")}
    if not values:
        raise Refused(f"{name}: {trial_id(record.number)} has no finished epoch to compare with ({at})")
    stages = lineage(search, record)
    *before, last = [(stage.until, _alone(search, stage.drawn)) for stage in stages]
    course = in_words(stages) if record.exchanges else ""
    return Original(search, record.number, last[1], before, course, values, _fingerprint(at))


def other_data(found: Sequence[Difference]) -> Difference | None:
    """The difference that makes every number another: data that is known to be other data."""
    return next((each for each in found if each.what == DATA and each.then), None)


def differences(first: Original, settings: Settings) -> list[Difference]:
    """What is other now: the commit, the versions, the data. Opens the data."""
    then, now = History(settings).origin(first.search.name), provenance(settings.commit)
    keys = [key for key in dict.fromkeys([*then, *now]) if key in NAMES or key.startswith("fusegpt.version.")]
    told = [
        Difference(NAMES.get(key) or key.removeprefix("fusegpt.version."), then.get(key, ""), now.get(key, ""))
        for key in keys
        if then.get(key) != now.get(key)
    ]
    task = first.experiment.task.build(first.experiment)
    fingerprint = task.open_splits(settings.cache).fingerprint
    return told + ([Difference(DATA, first.fingerprint, fingerprint)] if fingerprint != first.fingerprint else [])


def reproduce(
    first: Original,
    found: Sequence[Difference],
    settings: Settings,
    observers: Sequence[Observer],
    tolerance: float,
) -> Reproduction:
    """Train it again and compare. `tolerance`: how far off the number may be, as a share of it. Raises JobFailed."""
    name = _free_name(f"{first.search.name}-trial-{first.number}-again", settings)
    again = Search(name, first.experiment, settings.runs / name, first.search.metric, first.search.mode)
    until = max(first.values)
    outcome = run.train(again, settings, observers, register=False, until_epoch=until, before=first.before)
    if outcome.trials[0].error:
        raise JobFailed(f"{name}: {outcome.trials[0].error}")
    history = read_history(trial_folder(again, 0) / "history.jsonl")
    values = {row.epoch: row.metrics[first.search.metric] for row in history}
    return _compared(first, name, values, tolerance, found)


def _compared(
    first: Original, name: str, values: Mapping[int, float], tolerance: float, found: Sequence[Difference]
) -> Reproduction:
    pick = min if first.search.mode == "min" else max
    then, now = pick(first.values.values()), pick(values.values())
    first_other = next((epoch for epoch, value in sorted(first.values.items()) if values.get(epoch) != value), 0)
    within = abs(now - then) <= tolerance * abs(then)
    verdict: Verdict = "exact" if not first_other else "within" if within else "other"
    return Reproduction(name, first.search.metric, then, now, verdict, first_other, len(first.values), found)


def _record(search: Search, trial: str) -> TrialRecord:
    records = read_trials(search)
    for record in records:
        if trial in (str(record.number), trial_id(record.number)):
            return record
    known = ", ".join(str(record.number) for record in records) or "none"
    raise NotFound(f"{search.name} has no trial {trial!r}; there are {known}")


def _alone(search: Search, drawn: Mapping[str, Any]) -> Experiment:
    """The experiment with a trial's settings, searching nothing."""
    nested = search.experiment.override(drawn).model_dump(mode="json")
    nested["search"] = {"metric": search.metric, "trials": 1, "algorithm": "random"}
    return parse(nested)


def _fingerprint(folder: Path) -> str:
    """The data that the trial has learnt from; empty where its checkpoint is gone."""
    try:
        return str(read_json(folder / "checkpoint" / "progress.json")["fingerprint"])
    except (ValueError, KeyError, TypeError):
        return ""


def _free_name(wanted: str, settings: Settings) -> str:
    """A name that no search has: a second run under the same one would go on from the first."""
    number, name = 1, wanted
    while (settings.runs / name).exists():
        number, name = number + 1, f"{wanted}-{number + 1}"
    return name
