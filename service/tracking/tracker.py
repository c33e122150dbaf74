"""`Tracker`: an observer that tells MLflow what happens in a search: a parent run per search, a child per trial.

Its methods put a record on the search's spool and return; they wait for nothing and raise nothing. A thread carries the
records to MLflow. Where MLflow is away at the end, they stay in the search's folder and are carried at the next start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from service.errors import ClusterUnreachable
from service.events import Search, Trial, best_of
from service.settings import Settings
from service.tracking.description import describe, job_page
from service.tracking.overview import draw_overview
from service.tracking.pictures import Sketcher, draw_search, draw_trial
from service.tracking.provenance import diff, provenance
from service.tracking.recorder import Recorder
from service.tracking.spool import Spool, SpoolInUseError
from service.tracking.writer import Unavailable, Writer, drain

log = logging.getLogger("fusegpt.tracking")

# How long the end of a search waits for MLflow to have everything, and how long where it has been away.
WAIT_S, WAIT_AWAY_S = 30.0, 3.0

_STATUS = {
    "finished": "FINISHED",
    "stopped": "FINISHED",
    "cancelled": "KILLED",
    "failed": "FAILED",
    "running": "KILLED",
    "interrupted": "KILLED",
}
# Of the search, not of a trial: logged once, on the parent run.
_PARENT_ONLY = ("search.", "resources.", "description")

_Method = TypeVar("_Method", bound=Callable[..., None])


def _never_raises(method: _Method) -> _Method:
    """A search must not fail because it cannot be tracked. The first failure is told, the others would be noise."""

    @functools.wraps(method)
    def guarded(self: Tracker, *args: Any) -> None:
        try:
            method(self, *args)
        except Exception as error:
            if not self.troubled:
                log.warning("tracking: %s could not be kept: %s: %s", method.__name__, type(error).__name__, error)
            self.troubled = True

    return cast(_Method, guarded)


class Tracker:
    """Implements service.events.Observer for one search at a time; the same one again goes on in the same runs.

    `as_job`: the search is a job of the service under the same name, to which its run links.
    """

    def __init__(self, settings: Settings, *, as_job: bool = False) -> None:
        self.troubled = False
        self._settings, self._as_job = settings, as_job
        self._recorder = Recorder(settings)
        self._search: Search | None = None
        self._spool: Spool | None = None
        self._writer: Writer | None = None
        self._fingerprinted: set[str] = set()
        self._trials: dict[str, Trial] = {}
        self._told: dict[str, dict[int, float]] = {}
        self._sketcher: Sketcher | None = None
        self._lock = threading.Lock()

    @_never_raises
    def search_started(self, search: Search) -> None:
        self.close()
        self.troubled, self._search, self._fingerprinted = False, search, set()
        self._trials, self._told, self._sketcher = {}, {}, Sketcher(self._sketch)
        self._spool = Spool(search.folder)
        # The first use of a new database takes seconds; the thread does it while the cluster starts.
        self._writer = Writer(self._spool, self._recorder.apply, before=lambda: _carry_others(self._settings))
        experiment, origin = search.experiment, provenance(self._settings.commit)
        tags = {
            **origin,
            "mlflow.note.content": self._description(),
            **({"fusegpt.job": search.name} if self._as_job else {}),
            "fusegpt.state": "running",
            "fusegpt.metric": search.metric,
            "fusegpt.mode": search.mode,
            "fusegpt.folder": str(search.folder),
            "fusegpt.seed": str(experiment.search.seed),
        }
        self._put("search", name=search.name, params=_params(experiment.settings()), tags=tags)
        self._put_diff(search.folder)

    @_never_raises
    def trial_started(self, trial: Trial) -> None:
        search = self._present()
        self._trials[trial.id] = trial
        experiment = search.experiment.trial(trial.drawn)
        settings = {k: v for k, v in experiment.settings().items() if not k.startswith(_PARENT_ONLY)}
        tags = {
            "fusegpt.state": "running",
            "fusegpt.number": str(trial.number),
            "fusegpt.drawn": json.dumps({key: settings.get(key, value) for key, value in trial.drawn.items()}),
            "fusegpt.folder": str(trial.folder),
            "fusegpt.seed": str(experiment.training.seed),
        }
        self._put("trial", trial, name=f"{search.name}/{trial.number:03d}", params=_params(settings), tags=tags)
        if trial.epoch:  # taken up again: its last epoch may have been on the disk, and not yet here, when all ended
            self._put("report", trial, **_report(trial))

    @_never_raises
    def trial_reported(self, trial: Trial) -> None:
        if self._present().metric in trial.metrics:
            self._told.setdefault(trial.id, {})[trial.epoch] = float(trial.metrics[self._present().metric])
        self._put("report", trial, **_report(trial))
        self._put_fingerprint(trial)

    @_never_raises
    def trial_ended(self, trial: Trial) -> None:
        self._put_fingerprint(trial)
        self._put("end", trial, **_end(trial, self._present().metric))
        self._put_pictures(draw_trial(trial), trial)
        self._trials[trial.id] = trial
        if self._sketcher is not None:
            self._sketcher.nudge()

    @_never_raises
    def search_ended(self, search: Search, trials: list[Trial]) -> None:
        """Also tells the end of trials that an earlier process brought to the disk, and no further."""
        if self._sketcher is not None:
            self._sketcher.close()
        earlier = [trial for trial in trials if trial.id not in self._trials]
        if earlier:
            self._put("settle", ended={t.id: [_report(t), _end(t, search.metric)] for t in earlier})
        best, state = best_of(search, trials), _state(trials)
        for trial in trials:
            if trial.state == "running":
                self._put("end", trial, status="KILLED", tags={"fusegpt.state": "interrupted"})
        tags = {
            "fusegpt.state": state,
            "fusegpt.trials": str(len(trials)),
            "fusegpt.best_trial": best.id if best else "",
            "fusegpt.error": next((t.error for t in trials if t.error), "") if state == "failed" else "",
        }
        figures = {} if best is None or best.best is None else {f"best/{search.metric}": best.best}
        self._put("end", status=_STATUS[state], metrics=figures, tags=tags)
        self._put_pictures(draw_search(search, trials, self._told, self._settings.cache))
        self._put("tags", tags={"mlflow.note.content": self._description(trials)})
        self.close()

    def run_id(self, trial: Trial) -> str:
        """The MLflow run of a trial of the present search. Raises ClusterUnreachable where MLflow does not answer."""
        search = self._present()
        record = {"kind": "find", "at": _now_ms(), "trial": trial.id, **_names(search)}
        try:
            return self._recorder.run_of(record)
        except Unavailable as error:
            raise ClusterUnreachable(str(error)) from error

    def carry_the_rest(self) -> None:
        """What MLflow could not be told when the search ended, now that it answers again. Never raises."""
        _carry_others(self._settings)

    def close(self) -> None:
        """Carry what is left to MLflow, for a limited time. What could not be carried stays, and is said."""
        if self._sketcher is not None:
            self._sketcher.close()
        with self._lock:
            writer, spool, self._writer, self._spool = self._writer, self._spool, None, None
        if writer is None or spool is None:
            return
        if not writer.close(WAIT_S, WAIT_AWAY_S):
            log.warning(
                "tracking: %d records wait in %s for MLflow; the next search sends them", spool.pending(), spool.file
            )
        spool.close()

    def _description(self, trials: Sequence[Trial] = ()) -> str:
        search = self._present()
        return describe(search, trials, as_job=self._as_job, page=job_page(self._settings, search.name))

    def _present(self) -> Search:
        if self._search is None:
            raise RuntimeError("search_started was not called")
        return self._search

    def _put(self, kind: str, trial: Trial | None = None, **content: Any) -> None:
        record = {"kind": kind, "at": _now_ms(), **_names(self._present()), **content}
        if trial is not None:
            record["trial"] = trial.id
        if self._spool is None or self._writer is None:
            raise RuntimeError("nothing is tracked now")
        self._spool.append(record)
        self._writer.wake()

    def _put_diff(self, folder: Path) -> None:
        text = diff()
        if text:
            file = folder / "source.diff"
            file.write_text(text, encoding="utf-8")
            self._put("artifact", file=str(file), into="")

    def _put_fingerprint(self, trial: Trial) -> None:
        """The data's fingerprint is known once the trial has packed it; the trial's checkpoint carries it."""
        if trial.id in self._fingerprinted:
            return
        found = _fingerprint(trial.folder)
        if found:
            self._fingerprinted.add(trial.id)
            self._put("tags", trial, tags={"fusegpt.data": found})
            self._put("tags", tags={"fusegpt.data": found})

    def _put_pictures(self, files: list[Path], trial: Trial | None = None) -> None:
        for file in files:
            self._put("artifact", trial, file=str(file), into="pictures")

    @_never_raises
    def _sketch(self) -> None:
        """The pictures as far as the search has come, from the sketcher's thread.

        A search that was taken up again is told of its earlier trials at its end only: its pictures wait until then.
        """
        search = self._present()
        trials = [dataclasses.replace(trial, metrics=dict(trial.metrics)) for trial in list(self._trials.values())]
        if len(trials) < len(list(search.folder.glob("trial_*"))):
            return
        self._put_pictures(draw_overview(search, trials, {id: dict(told) for id, told in list(self._told.items())}))


def replay(settings: Settings) -> int:
    """Carry what earlier searches could not tell MLflow. How many records still wait."""
    recorder, waiting = Recorder(settings), 0
    for file in sorted(settings.runs.glob("*/tracking.jsonl")):
        try:
            spool = Spool(file.parent)
        except (SpoolInUseError, OSError):
            continue
        with contextlib.suppress(Unavailable):
            if not waiting:
                drain(spool, recorder.apply)
        waiting += spool.pending()
        spool.close()
    return waiting


def _carry_others(settings: Settings) -> None:
    try:
        replay(settings)
    except Exception as error:
        log.warning("tracking: records of earlier searches could not be sent: %s: %s", type(error).__name__, error)


def _names(search: Search) -> dict[str, str]:
    return {"search": search.name, "experiment": search.experiment.name}


def _params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as MLflow shows them: text as it is, all else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}


def _state(trials: list[Trial]) -> str:
    """A search failed where every trial did, and was interrupted where one still runs."""
    if any(trial.state == "running" for trial in trials):
        return "interrupted"
    return "failed" if trials and all(trial.state == "failed" for trial in trials) else "finished"


def _report(trial: Trial) -> dict[str, Any]:
    """What a record tells of a trial's last epoch."""
    metrics = {key: float(value) for key, value in trial.metrics.items()}
    return {"epoch": trial.epoch, "metrics": metrics, "tags": {"fusegpt.epoch": str(trial.epoch)}}


def _end(trial: Trial, metric: str) -> dict[str, Any]:
    """What a record tells of a trial's end."""
    tags = {"fusegpt.state": trial.state, "fusegpt.seconds": f"{trial.seconds:.3f}", "fusegpt.error": trial.error}
    if trial.exchanges:  # what it took over from other trials of its population, and when
        tags["fusegpt.exchanges"] = json.dumps(trial.exchanges)
    best = {} if trial.best is None else {f"best/{metric}": trial.best}
    return {"status": _STATUS[trial.state], "epoch": trial.epoch, "metrics": best, "tags": tags}


def _fingerprint(folder: Path) -> str:
    try:
        progress = json.loads((folder / "checkpoint" / "progress.json").read_text(encoding="utf-8"))
        return str(progress.get("fingerprint", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _now_ms() -> int:
    return int(time.time() * 1000)
