"""`importance`: how much of the metric's variance each searched setting explains alone, by Optuna's fANOVA.

Hutter et al., An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014. A random forest fits any noise,
so each share has a band (trials drawn again) and what it would be by chance (the values dealt out anew to the trials).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusegpt.figures.importance import Share
from fusegpt.figures.search import TrialCurve
from fusegpt.search_space import Domain

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST = 10  # trials below which shares are read off noise
MOST = 120  # trials that are looked at: beyond it the forest takes long and tells no more
ROUNDS, TREES = 20, 12


class TooFewError(ValueError):
    """There are not enough trials to say which settings matter; the message says how many there must be."""


def importance(
    trials: Sequence[TrialCurve], space: Mapping[str, Domain], mode: Literal["min", "max"], seed: int = 0
) -> list[Share]:
    """The share of every setting of the space, the largest first. Raises TooFewError."""
    from service.cluster.draws import distribution

    judged = [(trial, best) for trial in trials if (best := trial.best(mode)) is not None and _within(trial, space)]
    need = max(FEWEST, len(space) + 3)
    if len(judged) < need:
        raise TooFewError(f"{len(judged)} trials have a value; which settings matter is said from {need} on")
    rng = np.random.default_rng(seed)
    if len(judged) > MOST:
        judged = [judged[i] for i in sorted(rng.choice(len(judged), MOST, replace=False))]
    forest = _Forest([trial for trial, _ in judged], {key: distribution(domain) for key, domain in space.items()}, seed)
    scores, everyone = _fenced(np.array([best for _, best in judged])), np.arange(len(judged))
    share = forest.shares(everyone, scores)
    again = [rng.choice(everyone, len(everyone)) for _ in range(ROUNDS)]
    band = np.quantile([forest.shares(one, scores[one]) for one in again], [0.05, 0.95], axis=0)
    chance = float(np.quantile([forest.shares(everyone, rng.permutation(scores)) for _ in range(ROUNDS)], 0.95))
    found = [
        Share(key, float(one), float(low), float(high), chance)
        for key, one, low, high in zip(space, share, *band, strict=True)
    ]
    return sorted(found, key=lambda one: -one.share)


class _Forest:
    """Optuna's evaluator over some of the trials, with some scores."""

    def __init__(self, trials: Sequence[TrialCurve], distributions: Mapping[str, BaseDistribution], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=seed)
        self._distributions = dict(distributions)
        self._params = [{key: trial.settings[key] for key in distributions} for trial in trials]

    def shares(self, which: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(settings,), in the order of the space. All are 0 where all scores are the same."""
        import optuna

        if np.ptp(scores) == 0 or len(set(which.tolist())) < 2:
            return np.zeros(len(self._distributions))
        study = optuna.create_study()
        drawn = zip(which, scores, strict=True)
        study.add_trials([self._trial(self._params[index], float(score)) for index, score in drawn])
        told = self._evaluator.evaluate(study)
        return np.array([float(told.get(key, 0.0)) for key in self._distributions])

    def _trial(self, params: dict[str, Any], score: float) -> Any:
        from optuna.trial import create_trial

        return create_trial(params=params, distributions=self._distributions, value=score)


def _within(trial: TrialCurve, space: Mapping[str, Domain]) -> bool:
    """The default settings may lie outside the space, where the forest has no place for them."""
    return all(key in trial.settings and domain.contains(trial.settings[key]) for key, domain in space.items())


def _fenced(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values beyond Tukey's outer fences moved to them: one trial that diverged must not be all of the variance."""
    first, third = np.percentile(scores, [25, 75])
    reach = 3 * (third - first)
    return np.clip(scores, first - reach, third + reach) if reach > 0 else scores
