"""`Recorder`: writes one record into MLflow. The same record twice leaves what it leaves once.

Runs are found by their tags (`fusegpt.search`, `fusegpt.trial`), never by an id kept somewhere, so that a search that
is resumed, on this machine or another, goes on in the runs that it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.settings import Settings
from service.tracking.spool import Record
from service.tracking.store import connect, experiment_id, quoted
from service.tracking.writer import Unavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow's own limits.
_PER_BATCH, _TAG_CHARACTERS, _PARAM_CHARACTERS = 100, 8000, 6000
_OUR_FAULT = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
}


class Recorder:
    """`apply(record)` raises Unavailable where MLflow is away, and MLflow's own error where the record is at fault."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connected: MlflowClient | None = None
        self._runs: dict[tuple[str, str], str] = {}
        self._last_epoch: dict[str, int] = {}

    def apply(self, record: Record) -> None:
        """Write the record."""
        kinds = {
            "search": self._start,
            "trial": self._start,
            "report": self._report,
            "tags": self._tags,
            "end": self._end,
            "settle": self._settle,
            "artifact": self._artifact,
        }
        with _told_apart(self._settings.tracking_uri):
            kinds[record["kind"]](record)

    def run_of(self, record: Record) -> str:
        """The id of the run of the record's trial, or of its search where it names none."""
        with _told_apart(self._settings.tracking_uri):
            return self._run(record)

    @property
    def _client(self) -> MlflowClient:
        if self._connected is None:
            self._connected = connect(self._settings)
        return self._connected

    def _start(self, record: Record) -> None:
        run_id = self._run(record)
        self._client.update_run(run_id, status="RUNNING")
        self._describe(run_id, record)

    def _report(self, record: Record) -> None:
        """One epoch's metrics, unless the run has them already: a resumed trial reports its last epochs again."""
        run_id, epoch = self._run(record), int(record["epoch"])
        if epoch <= self._epoch_of(run_id, record["metrics"]):
            return
        self._log(run_id, record, step=epoch)
        self._last_epoch[run_id] = epoch

    def _end(self, record: Record) -> None:
        run_id = self._run(record)
        self._log(run_id, record, step=int(record.get("epoch", 0)))
        self._client.set_terminated(run_id, status=record["status"], end_time=record["at"])

    def _settle(self, record: Record) -> None:
        """The end of trials whose runs still run: the process that was to tell it has died. Others stay as they are."""
        search = quoted(record["search"])
        wanted = f"tags.`fusegpt.search` = {search} and attributes.status = 'RUNNING'"
        experiment = experiment_id(self._client, self._settings, record["experiment"])
        for run in self._client.search_runs([experiment], wanted):
            trial = run.data.tags.get("fusegpt.trial", "")
            if trial in record["ended"]:
                report, end = record["ended"][trial]
                self._report({**record, "trial": trial, **report})
                self._end({**record, "trial": trial, **end})

    def _tags(self, record: Record) -> None:
        self._log(self._run(record), record, step=0)

    def _artifact(self, record: Record) -> None:
        """A file that is gone, or that the artifact store refuses while MLflow answers, must not hold up metrics."""
        file, run_id = Path(record["file"]), self._run(record)
        if not file.is_file():
            return
        try:
            self._client.log_artifact(run_id, str(file), record["into"] or None)
        except Exception as error:
            self._client.get_run(run_id)
            raise RuntimeError(f"{file.name} could not be stored: {_first_line(error)}") from error

    def _run(self, record: Record) -> str:
        key = (record["search"], record.get("trial", ""))
        if key not in self._runs:
            self._runs[key] = self._find_or_create(record)
        return self._runs[key]

    def _find_or_create(self, record: Record) -> str:
        experiment = experiment_id(self._client, self._settings, record["experiment"])
        search, trial = record["search"], record.get("trial", "")
        tags = {"fusegpt.search": search, "fusegpt.kind": "trial" if trial else "search"}
        if trial:
            tags["fusegpt.trial"] = trial
        wanted = " and ".join(f"tags.`{key}` = {quoted(value)}" for key, value in tags.items())
        found = self._client.search_runs([experiment], wanted, max_results=1)
        if found:
            return str(found[0].info.run_id)
        if trial:
            tags["mlflow.parentRunId"] = self._run({key: record[key] for key in ("search", "experiment", "at")})
        name = record.get("name") or trial or search
        run = self._client.create_run(experiment, start_time=record["at"], tags=tags, run_name=name)
        return str(run.info.run_id)

    def _describe(self, run_id: str, record: Record) -> None:
        """Parameters and tags. A parameter cannot change in MLflow: what a resumed search changed becomes a tag."""
        run = self._client.get_run(run_id)
        params = {key: _cut(value, _PARAM_CHARACTERS) for key, value in record.get("params", {}).items()}
        new = {key: value for key, value in params.items() if key not in run.data.params}
        changed = {f"fusegpt.changed.{k}": v for k, v in params.items() if run.data.params.get(k, v) != v}
        self._log(run_id, {**record, "params": new, "tags": {**record.get("tags", {}), **changed}}, step=0)

    def _log(self, run_id: str, record: Mapping[str, Any], step: int) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(key, float(value), record["at"], step) for key, value in record.get("metrics", {}).items()]
        tags = [RunTag(key, _cut(value, _TAG_CHARACTERS)) for key, value in record.get("tags", {}).items()]
        params = [Param(key, value) for key, value in record.get("params", {}).items()]
        self._client.log_batch(run_id, metrics=metrics, tags=tags[:_PER_BATCH], params=params[:_PER_BATCH])
        for start in range(_PER_BATCH, max(len(tags), len(params)), _PER_BATCH):
            part = slice(start, start + _PER_BATCH)
            self._client.log_batch(run_id, tags=tags[part], params=params[part])

    def _epoch_of(self, run_id: str, metrics: Mapping[str, float]) -> int:
        """The last epoch that the run has figures of; 0 where it has none."""
        if run_id not in self._last_epoch:
            run: Run = self._client.get_run(run_id)
            known = [key for key in metrics if key in run.data.metrics]
            history = self._client.get_metric_history(run_id, known[0]) if known else []
            self._last_epoch[run_id] = max((point.step for point in history), default=0)
        return self._last_epoch[run_id]


@contextmanager
def _told_apart(where: str) -> Iterator[None]:
    """MLflow being away (Unavailable: ask again) told apart from a record being wrong (MLflow's error: never again)."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code in _OUR_FAULT:
            raise
        raise Unavailable(_away(where, error)) from error
    except OSError as error:
        raise Unavailable(_away(where, error)) from error


def _away(where: str, error: Exception) -> str:
    """In a sentence, with the first cause of all: MLflow and its HTTP client wrap it several times."""
    first: BaseException = error
    while (before := first.__cause__ or first.__context__) is not None:
        first = before
    return f"MLflow at {where} does not answer ({_first_line(first)})"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
