"""From what a person writes (a spec's file or name, --set, --data) to an experiment, or to the service's spec."""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any, get_args

import experiments
from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from service.settings import Settings
from service.spec import JobSpec, parse_assignments, read_spec, resolve

PATHS = ("data.root", "data.path", "data.tokenizer_file", "model.pretrained")


def experiment_of(job: str, assignments: list[str], data: str, settings: Settings) -> Experiment:
    """The experiment that `job` names, with the changes asked for. Raises SettingError naming the key or the file."""
    spec = _read(job)
    changes: dict[str, Any] = {**_source(data), **parse_assignments(assignments)}
    return resolve(spec, _with_root(spec, changes, settings))


def smoke_of(job: str, data: str) -> list[str]:
    """The small settings that the experiment of `job` states itself, as --set writes them.

    Those of its data are for its own source, not for one that the spec or `data` names.
    """
    spec = _read(job)
    elsewhere = bool(data) or "source" in spec.data or "data.source" in spec.set
    settings = experiments.smoke(spec.experiment).items()
    return [f"{key}={dumps(value)}" for key, value in settings if not (elsewhere and key.startswith("data."))]


@dataclass(frozen=True)
class Asked:
    """What a person wrote of a job."""

    job: str
    assignments: list[str]
    data: str
    name: str = ""

    def spec(self) -> dict[str, Any]:
        """The spec for the job service, as JSON."""
        return spec_of(self.job, self.assignments, self.data, self.name, Settings.read())


def spec_of(job: str, assignments: list[str], data: str, name: str, settings: Settings) -> dict[str, Any]:
    """The spec for the job service, as JSON. Where FUSEGPT_ADDRESS is set, data is where that service has it."""
    spec = _read(job)
    changes: dict[str, Any] = {**_source(data), **parse_assignments(assignments)}
    if not settings.address:
        changes = _with_root(spec, changes, settings)
    written = {**spec.settings(), **changes}
    if not settings.address:  # a job runs in a folder of its own, so a path is made whole here
        paths = {key: written[key] for key in PATHS if isinstance(written.get(key), str) and written[key]}
        written.update({key: str(Path(path).expanduser().resolve()) for key, path in paths.items()})
    return JobSpec(experiment=spec.experiment, name=name or spec.name, set=written).model_dump(mode="json")


def _read(job: str) -> JobSpec:
    if not job:
        raise SettingError("name an experiment (fusegpt experiments lists them) or a spec file (.yaml, .json)")
    if _is_file(job):
        return read_spec(Path(job))
    ready = experiments.specs().get(job)
    return read_spec(ready) if ready else JobSpec(experiment=job)


def _is_file(job: str) -> bool:
    return Path(job).suffix in (".yaml", ".yml", ".json") or "/" in job


def _source(data: str) -> dict[str, Any]:
    """`kitti:/data/kitti` -> {"data.source": "kitti", "data.root": "/data/kitti"}."""
    if not data:
        return {}
    source, _, root = data.partition(":")
    return {"data.source": source} | ({"data.root": str(Path(root).expanduser().resolve())} if root else {})


def _with_root(spec: JobSpec, changes: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Recorded driving without a root is where FUSEGPT_DATA says."""
    source = changes.get("data.source", spec.data.get("source"))
    named = "data.root" in changes or "root" in spec.data
    if source not in _rooted() or named:
        return changes
    if settings.data is None:
        raise SettingError(f"data.root: where is {source}? Write --data {source}:/its/folder, or set FUSEGPT_DATA")
    return {**changes, "data.root": str(settings.data)}


def _rooted() -> list[str]:
    """The sources that lie in a `data.root`; one that is none at all is refused with the rest of the spec."""
    from fusegpt.data import DataConfig

    union, *_ = get_args(DataConfig)
    return [source.model_fields["source"].default for source in get_args(union) if "root" in source.model_fields]
