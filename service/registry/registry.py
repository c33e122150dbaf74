"""`Registry`: the versions of each model in MLflow, and which of them is the champion.

A version is whole before it has a number, and the alias moves in one step; a kill between any two steps leaves the
champion that there was, and the same call again completes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import NotFound, Refused
from service.registry import side_by_side
from service.registry.files import checked, fetched
from service.registry.gate import Decision, GateConfig
from service.registry.judging import Comparer, Evaluator, Judging, decision_of, evaluate_on_test, headline_of
from service.registry.rollout import Challenger, Ended, Lineup, Rollout
from service.registry.version import SHA256, WITHDRAWN, WITHDRAWN_AT, Version, version_of
from service.settings import Settings
from service.tracking.store import connect, database, reaching

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from fusegpt.tasks.metric import Metric

CHAMPION, CHALLENGER = "champion", "challenger"  # aliases in MLflow
ROLLOUT = "fusegpt.rollout"


class Registry:
    """Raises ClusterUnreachable where MLflow does not answer, and NotFound for a version that there is not."""

    def __init__(
        self,
        settings: Settings,
        evaluate: Evaluator = evaluate_on_test,
        headline: Callable[[Path], Metric] = headline_of,
        gate: GateConfig | None = None,
        compare: Comparer = side_by_side.compare,
    ) -> None:
        self._settings = settings
        self._judging = Judging(evaluate, headline, compare)
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
        return self._by_alias(name, CHAMPION)

    def challenger(self, name: str) -> Challenger | None:
        """The version that is tried beside the champion; None where there is none."""
        version = self._by_alias(name, CHALLENGER)
        written = version.tags.get(ROLLOUT) if version else None
        return Challenger(version, Rollout.model_validate_json(written)) if version and written else None

    def lineup(self, name: str) -> Lineup:
        """Who should answer now. A version that was withdrawn does not, whatever its alias says."""
        champion, challenger = self.champion(name), self.challenger(name)
        passed: set[int] = set()
        while champion and champion.withdrawn and champion.previous_champion and champion.number not in passed:
            passed.add(champion.number)
            champion = self.version(name, champion.previous_champion)
        if challenger and (challenger.version.withdrawn or champion is None):
            challenger = None
        return Lineup(champion, champion.previous_champion if champion else None, challenger)

    def promote(
        self,
        name: str,
        number: int,
        force: bool = False,
        *,
        rollout: Rollout | None = None,
        gate: GateConfig | None = None,
    ) -> Decision:
        """Let a version pass the gate and, where it does (or with `force`), make it the champion.

        With a `rollout` it becomes the challenger: it is tried beside the champion until it is promoted or rolled
        back. A shadow answers nobody, so it needs only to take the same inputs. The decision is kept on the version.
        Raises Refused where the champion changed while the gate was judging, or where there is none to try it beside.
        """
        challenger, before = self.version(name, number), self.champion(name)
        if before is not None and before.number == number and not before.withdrawn:
            return Decision(True, f"version {number} of {name} is the champion already", {}, number, number)
        if rollout and before is None:
            raise Refused(f"{name} has no champion to try version {number} beside; promote it without a rollout")
        decision = self._decide(challenger, before, force, rollout, gate or self._gate)
        self._keep(challenger, decision)
        if decision.accepted:
            now = self.champion(name)
            if (now and now.number) != (before and before.number):
                raise Refused(f"{name}: the champion changed while version {number} was judged; promote it again")
            self._crown(challenger, before) if rollout is None else self._try_out(challenger, rollout)
        return decision

    def rollback(self, name: str) -> Version:
        """`end`, and who is champion then."""
        return self.end(name).champion

    def end(self, name: str, reason: str = "by hand") -> Ended:
        """End what is being tried; where nothing is, make the champion before the present one champion again.

        Raises Refused where there is no champion before.
        """
        present, challenger = self.champion(name), self.challenger(name)
        if present is None:
            raise NotFound(f"{name} has no champion")
        if challenger is not None:
            self._withdraw_challenger(challenger.version, reason)
            return Ended(present, challenger.version.number)
        if present.previous_champion is None:
            raise Refused(f"version {present.number} of {name} is its first champion: there is none to go back to")
        previous = self.version(name, present.previous_champion)
        self._mark_withdrawn(present, reason)
        self._set_alias(name, CHAMPION, previous.number)
        return Ended(previous, present.number)

    def withdraw(self, name: str, number: int, reason: str, former: int | None = None) -> bool:
        """Take a version that misbehaves out of the traffic, as challenger or as champion; False where it is neither.

        Several replicas may say so at once: only who finds the version still in its place moves an alias. `former` is
        the champion to go back to where the version does not tell its own. Raises Refused where there is none.
        """
        challenger, present = self.challenger(name), self.champion(name)
        if challenger is not None and challenger.version.number == number:
            self._withdraw_challenger(challenger.version, reason)
            return True
        if present is None or present.number != number:
            return False
        before = present.previous_champion or former
        if before is None:
            raise Refused(f"version {number} of {name} is its first champion: there is none to go back to")
        # Marked first: from here on no replica loads it, even where this process dies before the alias moves.
        self._mark_withdrawn(present, reason)
        now = self.champion(name)
        if now is not None and now.number == number:
            self._set_alias(name, CHAMPION, before)
        return True

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

    def _by_alias(self, name: str, alias: str) -> Version | None:
        if self._is_empty():
            return None
        from mlflow.exceptions import MlflowException

        with reaching(self._settings):
            try:
                return version_of(self._client.get_model_version_by_alias(name, alias))
            except MlflowException as error:
                # MLflow calls an alias that is not there an invalid parameter.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def _decide(
        self, challenger: Version, champion: Version | None, force: bool, rollout: Rollout | None, gate: GateConfig
    ) -> Decision:
        before = (lambda: self.download(champion)) if champion else None
        checks = self._judging.checks(self.download(challenger), before, self._settings.cache, gate)
        return decision_of(checks, challenger, champion, force, rollout)

    def _keep(self, version: Version, decision: Decision) -> None:
        """On the version as it stands now, and in its run for good: a version may be judged more than once."""
        written = asdict(decision)
        tags = {
            "validation_status": "approved" if decision.accepted else "rejected",
            "fusegpt.reason": decision.reason,
            "fusegpt.decision": json.dumps(written),
        }
        with reaching(self._settings):
            for key, value in tags.items():
                self._client.set_model_version_tag(version.name, str(version.number), key, value)
        self._write_down(version, "decision", written)

    def _write_down(self, version: Version, what: str, told: Mapping[str, object]) -> None:
        """A record among the artifacts of the version's run."""
        file = f"gate/{_when()}-version-{version.number}-{what}.json".replace(":", "")
        with reaching(self._settings):
            self._client.log_dict(version.run_id, {"model": version.name, "when": _when(), **told}, file)

    def _crown(self, challenger: Version, before: Version | None) -> None:
        """Remember the way back first: the alias, moved last and in one step, is what counts."""
        name, number = challenger.name, challenger.number
        if before is not None and before.number != number:
            self._tag(challenger, "previous_champion", str(before.number))
        self._untag(challenger, WITHDRAWN)
        self._set_alias(name, CHAMPION, number)
        tried = self.challenger(name)
        if tried is not None and tried.version.number == number:
            self._drop_challenger(name)

    def _try_out(self, challenger: Version, rollout: Rollout) -> None:
        self._tag(challenger, ROLLOUT, rollout.model_dump_json())
        self._untag(challenger, WITHDRAWN)
        self._set_alias(challenger.name, CHALLENGER, challenger.number)

    def _withdraw_challenger(self, version: Version, reason: str) -> None:
        self._mark_withdrawn(version, reason)
        self._drop_challenger(version.name)

    def _mark_withdrawn(self, version: Version, reason: str) -> None:
        told = f"rolled back: {reason}"
        self._tag(version, WITHDRAWN, told)
        self._tag(version, WITHDRAWN_AT, _when())
        self._write_down(version, "withdrawn", {"version": version.number, "reason": told})

    def _set_alias(self, name: str, alias: str, number: int) -> None:
        with reaching(self._settings):
            self._client.set_registered_model_alias(name, alias, str(number))

    def _drop_challenger(self, name: str) -> None:
        with reaching(self._settings):
            self._client.delete_registered_model_alias(name, CHALLENGER)

    def _tag(self, version: Version, key: str, value: str) -> None:
        with reaching(self._settings):
            self._client.set_model_version_tag(version.name, str(version.number), key, value)

    def _untag(self, version: Version, key: str) -> None:
        if key in version.tags:
            with reaching(self._settings):
                self._client.delete_model_version_tag(version.name, str(version.number), key)


def _when() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
