"""What a job came to: the table of its trials, the best of them beside the baseline and the defaults, and the gate."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from service.events import Search, Trial, baseline_of
from service.progress.board import drawn, figure
from service.progress.record import finite, search_json, trial_json

if TYPE_CHECKING:
    from service.run import Outcome

WIDTH = 160


def outcome_text(outcome: Outcome) -> str:
    """The outcome for people: plain text, wide enough for any table."""
    return "\n".join([_table(outcome), *_sentences(outcome)])


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome for programs: JSON values only."""
    best, baseline = outcome.best, baseline_of(outcome.search, outcome.trials)
    return {
        **search_json(outcome.search),
        "trials": [trial_json(trial) for trial in outcome.trials],
        "best": best and trial_json(best),
        "baseline": finite(baseline.value) if baseline else None,
        "version": outcome.version.number if outcome.version else None,
        "decision": asdict(outcome.decision) if outcome.decision else None,
        "front": [trial.id for trial in outcome.front],
        "ended": outcome.ended,
        "redrawn": outcome.redrawn,
    }


def _table(outcome: Outcome) -> str:
    from rich.console import Console

    from service.progress.table import trial_table

    sign = 1.0 if outcome.search.mode == "min" else -1.0
    last = float("inf")
    ranked = sorted(outcome.trials, key=lambda t: (sign * t.best if t.best is not None else last, t.number))
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(trial_table(outcome.search, ranked, outcome.best))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def _sentences(outcome: Outcome) -> Iterator[str]:
    search, best = outcome.search, outcome.best
    for trial in outcome.trials:
        if trial.error:
            yield f"trial {trial.number} {trial.state}: {trial.error}"
    if outcome.redrawn:
        yield f"redrawn:    {outcome.redrawn} that had too many parameters (search.constraints.parameters.max)"
    if outcome.ended:
        yield f"ended:      {outcome.ended}"
    if best is None or best.best is None:
        yield f"no trial reported {search.metric}"
        return
    yield f"best:       {search.metric} {figure(best.best)}, trial {best.number} ({drawn(best.drawn)})"
    baseline = baseline_of(search, outcome.trials)
    if baseline is not None:
        than = _than(search, best.best, baseline.value)
        yield f"baseline:   {figure(baseline.value)}, {baseline.name}; the best is {than} it"
    default = next((trial for trial in outcome.trials if trial.number == 0), None)
    if default is not None and default is not best and default.best is not None:
        yield f"defaults:   {figure(default.best)}, trial 0; the best is {_than(search, best.best, default.best)} them"
    if outcome.front:
        yield f"front:      {', '.join(_costs(search, trial) for trial in outcome.front)}"
    if outcome.version is not None:
        yield f"registered: version {outcome.version.number} of {outcome.version.name}"
    if outcome.decision is not None:
        yield f"{'promoted' if outcome.decision.accepted else 'refused'}:   {outcome.decision.reason}"
    yield f"files:      {best.folder / 'best'}"


def _costs(search: Search, trial: Trial) -> str:
    """ "trial 3 (0.412, latency_ms 11.2)"."""
    costs = [f"{name} {trial.metrics[name]:.6g}" for name in search.experiment.search.objectives]
    return f"trial {trial.number} ({', '.join([figure(trial.best), *costs])})"


def _than(search: Search, value: float, other: float) -> str:
    """ "23.1 % better than", by the metric's own direction."""
    better = value < other if search.mode == "min" else value > other
    if value == other or not other:
        return "as good as" if value == other else ("better than" if better else "worse than")
    return f"{abs(value - other) / abs(other):.1%} {'better' if better else 'worse'} than".replace("%", " %")
