"""`Registry`: the versions of each model in MLflow, and which of them is the champion.

A version is whole before it has a number, and the alias moves in one step; a kill between any two steps leaves the
champion that there was, and the same call again completes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import NotFound, Refused
from service.registry.files import checked, fetched
from service.registry.gate import Decision, Evaluation, GateConfig, judge, judge_first
from service.registry.version import SHA256, Version, version_of
from service.settings import Settings
from service.tracking.store import connect, database, reaching

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from fusegpt.tasks.task import Metric

ALIAS = "champion"

# (folder of the model, cache of packed data) -> its figures on the test split.
Evaluator = Callable[[Path, Path], Evaluation]


def evaluate_on_test(folder: Path, cache: Path) -> Evaluation:
    """The library's own evaluation."""
    from fusegpt.training.evaluate import evaluate

    return evaluate(folder, cache, "test")


def headline_of(folder: Path) -> Metric:
    """What the models of this experiment are judged by."""
    from fusegpt.training.checkpoint import read_experiment

    experiment = read_experiment(folder)
    return experiment.task.build(experiment).headline


class Registry:
    """Raises ClusterUnreachable where MLflow does not answer, and NotFound for a version that there is not."""

    def __init__(
        self,
        settings: Settings,
        evaluate: Evaluator = evaluate_on_test,
        headline: Callable[[Path], Metric] = headline_of,
        gate: GateConfig | None = None,
    ) -> None:
        self._settings = settings
        self._evaluate, self._headline = evaluate, headline
        self._gate = gate or GateConfig()

    def register(self, name: str, folder: Path, run_id: str, metrics: Mapping[str, float]) -> Version:
        """A new version of `name` from a model's folder, or the one that this run has already with this content.

        Raises Refused naming a file that is missing, or that is neither safetensors nor JSON.
        """
        hashes = checked(folder)
        for version in self.versions(name):
            if version.run_id == run_id and version.sha256 == hashes:
                return version
        tags = {f"{SHA256}{file}": value for file, value in hashes.items()}
        tags["fusegpt.metrics"] = json.dumps({key: float(value) for key, value in metrics.items()})
        with reaching(self._settings):
            for file in hashes:
                self._client.log_artifact(run_id, str(folder / file), "model")
            self._ensure_model(name)
            made = self._client.create_model_version(name, f"runs:/{run_id}/model", run_id, tags=tags)
        return version_of(made)

    def versions(self, name: str) -> list[Version]:
        """All versions of a name, newest first; none where there is no such name."""
        if self._is_empty():
            return []
        with reaching(self._settings):
            found = self._client.search_model_versions(f"name = '{name}'", max_results=1000)
        return sorted((version_of(model) for model in found), key=lambda version: -version.number)

    def version(self, name: str, number: int) -> Version:
        """One version. Raises NotFound."""
        if not self._is_empty():
            with reaching(self._settings, missing=f"there is no version {number} of {name}"):
                return version_of(self._client.get_model_version(name, str(number)))
        raise NotFound(f"there is no version {number} of {name}")

    def champion(self, name: str) -> Version | None:
        """The version that the alias names; None where there is none yet."""
        if self._is_empty():
            return None
        from mlflow.exceptions import MlflowException

        with reaching(self._settings):
            try:
                return version_of(self._client.get_model_version_by_alias(name, ALIAS))
            except MlflowException as error:
                # MLflow calls an alias that is not there an invalid parameter.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def promote(self, name: str, number: int, force: bool = False) -> Decision:
        """Let a version pass the gate and, where it does (or with `force`), make it the champion.

        The decision is kept on the version. Raises Refused where the champion changed while the gate was judging.
        """
        challenger, before = self.version(name, number), self.champion(name)
        if before is not None and before.number == number:
            return Decision(True, f"version {number} of {name} is the champion already", {}, number, number)
        decision = self._decide(challenger, before, force)
        self._keep(challenger, decision)
        if decision.accepted:
            now = self.champion(name)
            if (now and now.number) != (before and before.number):
                raise Refused(f"{name}: the champion changed while version {number} was judged; promote it again")
            self._crown(challenger, before)
        return decision

    def rollback(self, name: str) -> Version:
        """Make the champion before the present one champion again. Raises Refused where there was none."""
        present = self.champion(name)
        if present is None:
            raise NotFound(f"{name} has no champion")
        if present.previous_champion is None:
            raise Refused(f"version {present.number} of {name} is its first champion: there is none to go back to")
        previous = self.version(name, present.previous_champion)
        with reaching(self._settings):
            self._client.set_registered_model_alias(name, ALIAS, str(previous.number))
            when = datetime.now(tz=UTC).isoformat(timespec="seconds")
            self._client.set_model_version_tag(name, str(present.number), "fusegpt.rolled_back", when)
        return previous

    def download(self, version: Version) -> Path:
        """The version's files on this machine, checked against the hashes that it was registered with.

        Raises Refused where they are others, or where a version holds anything but safetensors and JSON.
        """
        target = self._settings.cache / "models" / version.name / str(version.number)

        def fetch(file: str, into: Path) -> Path:
            with reaching(self._settings, missing=f"version {version.number} of {version.name} has lost its {file}"):
                return Path(self._client.download_artifacts(version.run_id, f"model/{file}", str(into)))

        return fetched(target, version.sha256, fetch)

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._settings)

    def _is_empty(self) -> bool:
        """Whether nothing was ever tracked here; asking MLflow would make a database first, which takes seconds."""
        file = database(self._settings)
        return file is not None and not file.exists()

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _decide(self, challenger: Version, champion: Version | None, force: bool) -> Decision:
        decision = self._judged(challenger, champion)
        who = f"version {challenger.number} of {challenger.name}"
        against = "" if champion is None else f" (champion: version {champion.number})"
        forced = force and not decision.accepted
        return replace(
            decision,
            accepted=decision.accepted or forced,
            reason=f"{who} {'is forced though it ' if forced else ''}{decision.reason}{against}",
            challenger=challenger.number,
            champion=champion.number if champion else None,
            forced=forced,
        )

    def _judged(self, challenger: Version, champion: Version | None) -> Decision:
        folder, cache = self.download(challenger), self._settings.cache
        metric, new = self._headline(folder), self._evaluate(folder, cache)
        if champion is None:
            return judge_first(metric, new, self._gate)
        try:
            old = self._evaluate(self.download(champion), cache)
        except (ValueError, Refused) as error:
            return Decision(False, f"cannot be compared: the champion cannot be judged any more ({error})")
        return judge(metric, new, old, self._gate)

    def _keep(self, version: Version, decision: Decision) -> None:
        tags = {
            "validation_status": "approved" if decision.accepted else "rejected",
            "fusegpt.reason": decision.reason,
            "fusegpt.decision": json.dumps(asdict(decision)),
        }
        with reaching(self._settings):
            for key, value in tags.items():
                self._client.set_model_version_tag(version.name, str(version.number), key, value)

    def _crown(self, challenger: Version, before: Version | None) -> None:
        """Remember the way back first: the alias, moved last and in one step, is what counts."""
        name, number = challenger.name, str(challenger.number)
        with reaching(self._settings):
            if before is not None:
                self._client.set_model_version_tag(name, number, "previous_champion", str(before.number))
            self._client.set_registered_model_alias(name, ALIAS, number)
