"""From what a person writes (a spec file or a name, --set, --data) to an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from service.settings import Settings
from service.spec import JobSpec, parse_assignments, read_spec, resolve


def experiment_of(job: str, assignments: list[str], data: str, settings: Settings) -> Experiment:
    """The experiment that `job` names, with the changes asked for. Raises SettingError naming the key or the file."""
    if not job:
        raise SettingError("name an experiment (fusegpt experiments lists them) or a spec file (.yaml, .json)")
    spec = read_spec(Path(job)) if _is_file(job) else JobSpec(experiment=job)
    changes: dict[str, Any] = {**_source(data), **parse_assignments(assignments)}
    return resolve(spec, _with_root(spec, changes, settings))


def _is_file(job: str) -> bool:
    return Path(job).suffix in (".yaml", ".yml", ".json") or "/" in job


def _source(data: str) -> dict[str, Any]:
    """`kitti:/data/kitti` -> {"data.source": "kitti", "data.root": "/data/kitti"}."""
    if not data:
        return {}
    source, _, root = data.partition(":")
    return {"data.source": source} | ({"data.root": str(Path(root).expanduser().resolve())} if root else {})


def _with_root(spec: JobSpec, changes: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Recorded data without a root is where FUSEGPT_DATA says."""
    source = changes.get("data.source", spec.data.get("source"))
    named = "data.root" in changes or "root" in spec.data
    if source in (None, "world") or named:
        return changes
    if settings.data is None:
        raise SettingError(f"data.root: where is {source}? Write --data {source}:/its/folder, or set FUSEGPT_DATA")
    return {**changes, "data.root": str(settings.data)}
