"""Promotion and rollback say the same with a server and without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from job_modes import FakeRunner, Told, served, told_by

from service.jobs.job import now
from service.jobs.store import JobStore
from service.registry import Check, Decision, GateConfig, Registry, Rollout, Version
from service.registry.rollout import Ended
from service.settings import Settings


class Shelf(Registry):
    """Two versions; the gate lets the second one pass where it is forced."""

    def versions(self, name: str) -> list[Version]:
        if name != "norms":
            return []
        return [Version(name, number, "run", {}, now(), {}) for number in (2, 1)]

    def champion(self, name: str) -> Version | None:
        return next(iter(self.versions(name)[1:]), None)

    def promote(
        self,
        name: str,
        number: int,
        force: bool = False,
        *,
        rollout: Rollout | None = None,
        gate: GateConfig | None = None,
    ) -> Decision:
        del name
        checks = (Check("latency", gate is not None, f"{rollout.told if rollout else 'no rollout'}"),)
        return Decision(force, "worse by 0.1 (0.05 to 0.15)", {"difference": 0.1}, number, 1, force, checks)

    def end(self, name: str, reason: str = "by hand") -> Ended:
        del reason
        return Ended(self.versions(name)[1], 2)


@pytest.fixture(params=["in this process", "over HTTP"])
def mode(
    request: pytest.FixtureRequest, settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "in this process":
        monkeypatch.setattr("service.commands.models.Registry", Shelf)
        yield request.param
        return
    with served(settings, FakeRunner(settings), store, Shelf(settings)) as url:
        monkeypatch.setenv("FUSEGPT_ADDRESS", url)
        yield request.param


@pytest.mark.usefixtures("mode")
class TestModels:
    def test_what_the_gate_refuses_is_a_conflict_with_its_reason_and_figures(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        told: Told = told_by(capfd, "promote", "norms", "--json")
        assert told.code == 4
        assert told.json == {
            **{"accepted": False, "reason": "worse by 0.1 (0.05 to 0.15)", "figures": {"difference": 0.1}},
            **{"challenger": 2, "champion": 1, "forced": False},
            "checks": [{"name": "latency", "passed": False, "told": "no rollout", "figures": {}}],
        }
        assert told.err == "error: worse by 0.1 (0.05 to 0.15)\n"

    def test_what_is_forced_is_promoted(self, capfd: pytest.CaptureFixture[str]) -> None:
        told = told_by(capfd, "promote", "norms", "1", "--force", "--json")
        assert (told.code, told.json["challenger"], told.json["forced"]) == (0, 1, True)

    def test_a_rollout_and_another_gate_reach_the_registry_and_its_checks_are_listed(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        told = told_by(capfd, "promote", "norms", "2", "--canary", "0.1", "--set", "gate.latency_ratio=2", "--force")
        assert (told.code, told.out.splitlines()[1:]) == (0, ["  ok  latency: canary, 0.1 of the requests"])

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--set", "gate.latency_rato=2"], "gate.latency_rato: is no setting here (did you mean latency_ratio?)"),
            (["--set", "model.n_head=2"], "model.n_head: is no setting here; there are gate.confidence, "),
            (["--canary", "0.1", "--shadow"], "--canary, --shadow: a version is tried in one way at a time"),
        ],
    )
    def test_what_cannot_be_asked_of_a_promotion_is_named(
        self, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
    ) -> None:
        told = told_by(capfd, "promote", "norms", *arguments)
        assert told.code == 2
        assert said in told.err

    def test_the_champion_before_is_champion_again(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert told_by(capfd, "rollback", "norms").out == (
            "champion of norms: version 1 (version 2 is out of the traffic)\n"
        )

    def test_an_experiment_without_a_version_has_nothing_to_promote(self, capfd: pytest.CaptureFixture[str]) -> None:
        told = told_by(capfd, "promote", "translation")
        assert (told.code, told.err) == (
            3,
            "error: translation has no registered version; train or tune it first\n",
        )
