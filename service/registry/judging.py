"""`Judging`: a version's files and the champion's -> the gate's checks, and the checks -> what is decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import Refused
from service.registry import side_by_side
from service.registry.gate import Check, Decision, Evaluation, GateConfig, decided, judge, judge_first
from service.registry.rollout import Rollout
from service.registry.version import Version

if TYPE_CHECKING:
    from fusegpt.tasks.metric import Metric

# (folder of the model, cache of packed data) -> its figures on the test split.
Evaluator = Callable[[Path, Path], Evaluation]
# (folder of the challenger, folder of the champion, what is asked) -> both side by side.
Comparer = Callable[[Path, Path, GateConfig], side_by_side.Comparison]


def evaluate_on_test(folder: Path, cache: Path) -> Evaluation:
    """The library's own evaluation."""
    from fusegpt.training.evaluate import evaluate

    return evaluate(folder, cache, "test")


def headline_of(folder: Path) -> Metric:
    """What the models of this experiment are judged by."""
    from fusegpt.training.checkpoint import read_experiment

    experiment = read_experiment(folder)
    return experiment.task.headline


@dataclass
class Judging:
    """How the figures of the gate are found."""

    evaluate: Evaluator
    headline: Callable[[Path], Metric]
    compare: Comparer

    def checks(
        self, folder: Path, champion: Callable[[], Path] | None, cache: Path, gate: GateConfig
    ) -> tuple[Check, ...]:
        """Every question of the gate. `champion` brings its folder; None where there is no champion."""
        metric, new = self.headline(folder), self.evaluate(folder, cache)
        if champion is None:
            return (judge_first(metric, new, gate),)
        try:
            before = champion()
            old, beside = self.evaluate(before, cache), self.compare(folder, before, gate)
        except (ValueError, Refused) as error:
            told = f"cannot be compared: the champion cannot be judged any more ({error})"
            return (Check("error", False, told),)
        return (judge(metric, new, old, gate), *side_by_side.checks(beside, gate))


def decision_of(
    checks: tuple[Check, ...], challenger: Version, champion: Version | None, force: bool, rollout: Rollout | None
) -> Decision:
    """What the checks come to. A shadow answers nobody: it needs only to take and give what the champion does."""
    of_shadow = [check for check in checks if check.name == "signature"]
    found = decided((rollout and rollout.mode == "shadow" and of_shadow) or checks)
    forced = force and not found.accepted
    accepted = found.accepted or forced
    who = f"version {challenger.number} of {challenger.name}"
    tried = f"{rollout.told}: " if rollout and accepted else ""
    against = "" if champion is None else f" (champion: version {champion.number})"
    return replace(
        found,
        accepted=accepted,
        reason=f"{tried}{who} {'is forced though it ' if forced else ''}{found.reason}{against}",
        challenger=challenger.number,
        champion=champion.number if champion else None,
        forced=forced,
        checks=checks,
    )
