"""`clone`: let a training go on from where another stands, with its own settings from there on."""

from __future__ import annotations

import shutil
from pathlib import Path

from fusegpt.experiment import Experiment
from fusegpt.training.folder import replace_folder, settle, write_text

CHECKPOINT, BEST, HISTORY = "checkpoint", "best", "history.jsonl"


def clone(source: Path, target: Path, experiment: Experiment) -> None:
    """Give `target` the state, the best model and the history of the training in `source`, which must be at rest.

    The state carries `experiment`, that of `target`, whose model must have the same tensors. To do it again after it
    was cut short is safe.
    """
    target.mkdir(parents=True, exist_ok=True)

    def copy(name: str, experiment: Experiment | None = None) -> None:
        settle(source / name)

        def write(folder: Path) -> None:
            shutil.copytree(source / name, folder, dirs_exist_ok=True)
            if experiment is not None:
                (folder / "experiment.json").write_text(experiment.to_json() + "\n", encoding="utf-8")

        replace_folder(target / name, write)

    copy(BEST)
    write_text(target / HISTORY, (source / HISTORY).read_text(encoding="utf-8"))
    copy(CHECKPOINT, experiment)
