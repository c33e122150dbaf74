"""BLEU by sacreBLEU (Post, A Call for Clarity in Reporting BLEU Scores, 2018), an optional dependency."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from fusegpt.config import SettingError


def require_sacrebleu() -> None:
    """Raises SettingError naming `task.metric` where sacreBLEU is not installed."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise SettingError(
            "task.metric: sentence_bleu needs sacreBLEU; install it (pip install 'fusegpt[translation]'), "
            "or take exact_match"
        )


def sentence_bleu(told: Sequence[str], truth: Sequence[str]) -> list[float]:
    """Smoothed BLEU of each sentence, 0 to 100."""
    sacrebleu = importlib.import_module("sacrebleu")
    return [float(sacrebleu.sentence_bleu(one, [true]).score) for one, true in zip(told, truth, strict=True)]


def corpus_bleu(told: Sequence[str], truth: Sequence[str]) -> float:
    """BLEU of all sentences together, as papers report it, 0 to 100."""
    return float(importlib.import_module("sacrebleu").corpus_bleu(list(told), [list(truth)]).score)
