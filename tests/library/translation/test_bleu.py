"""BLEU is sacreBLEU's own, to the last digit of its command, and a translation of any parallel text is judged by it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import experiments
from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from fusegpt.predictor import Predictor
from fusegpt.tasks.translation.bleu import corpus_bleu, sentence_bleu
from fusegpt.tasks.translation.task import TranslationTask
from fusegpt.training.evaluate import evaluate
from fusegpt.training.loop import train

pytest.importorskip("sacrebleu", reason="pip install 'fusegpt[translation]'")

TRUTH = (
    "the cat is on the mat",
    "there is a cat on the mat",
    "hello world of ours",
    "Es regnet, seit gestern.",
    "고양이가 매트 위에 있다.",
)
TOLD = ("the cat sat on the mat", "there is a cat on a mat", "hello world", "Es regnet seit gestern .", "")
WORDS = ("red", "blue", "small", "large", "old", "new")
ROT, BLAU = "the {} house is {}", "das {} Haus ist {}"


def of_the_command(folder: Path, *options: str) -> list[float]:
    """What sacreBLEU's own command makes of the same texts, one number a line."""
    (folder / "truth").write_text("\n".join(TRUTH) + "\n", encoding="utf-8")
    (folder / "told").write_text("\n".join(TOLD) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "truth", "--input", "told", "--score-only", "--width", "9", *options]
    answer = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return [float(line) for line in answer.stdout.split()]


def parallel_text(folder: Path, *, lines: int = 36, **settings: object) -> Experiment:
    """A translation of a file of so many pairs, small enough for seconds."""
    pairs = [(ROT.format(a, b), BLAU.format(b, a)) for a in WORDS for b in WORDS][:lines]
    file = folder / "pairs.tsv"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
    small = {
        "data.source": "parallel_text",
        "data.path": str(file),
        "data.max_tokens": 40,
        "data.val_fraction": 0.2,
        "data.test_fraction": 0.2,
        "model.block_size": 40,
        "model.n_embd": 32,
        "model.n_layer": 1,
        "task.metric": "sentence_bleu",
        "task.max_target_tokens": 40,
        "training.batch_size": 4,
        "training.epochs": 1,
    }
    return experiments.load("translation").override({**small, **settings})


def test_bleu_of_all_sentences_is_what_sacrebleus_command_prints(tmp_path: Path) -> None:
    assert of_the_command(tmp_path) == [pytest.approx(corpus_bleu(TOLD, TRUTH), abs=1e-8)]


def test_bleu_of_each_sentence_is_what_sacrebleus_command_prints(tmp_path: Path) -> None:
    assert of_the_command(tmp_path, "--sentence-level") == pytest.approx(sentence_bleu(TOLD, TRUTH), abs=1e-8)


def test_bleu_of_equal_texts_is_100() -> None:
    texts = TRUTH[:2]
    assert sentence_bleu(texts, texts) == pytest.approx([100.0, 100.0])
    assert corpus_bleu(texts, texts) == pytest.approx(100.0)


def test_a_few_steps_on_a_file_of_pairs_log_the_bleu_that_the_answers_have(tmp_path: Path) -> None:
    told: list[float] = []
    experiment = parallel_text(tmp_path, **{"training.epochs": 4, "training.lr": 1e-2})
    result = train(
        experiment, tmp_path / "trial", tmp_path, lambda report: told.append(report.metrics["val/sentence_bleu"])
    )
    assert len(told) == 4
    assert max(told) > 1.0, "something of the target language is learnt in 24 steps"
    test = experiment.data.open_splits(tmp_path).test
    answers = Predictor.load(result.best).predict([{"text": np.asarray(pair.source)} for pair in test.pairs])
    by_hand = sentence_bleu([str(answer["translation"]) for answer in answers], [pair.target for pair in test.pairs])
    judged = evaluate(result.best, tmp_path, "test").metrics
    assert judged["sentence_bleu"] == pytest.approx(np.mean(by_hand), abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"task.metric": "bleu"}, r"task\.metric: .*'exact_match' or 'sentence_bleu'"),
        ({"data.max_tokens": 64}, r"model\.block_size \(40\) must be at least 64"),
        ({"data.val_fraction": 1.2}, r"data\.val_fraction"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: dict[str, object], wrong: str) -> None:
    with pytest.raises(SettingError, match=wrong):
        parallel_text(tmp_path, **settings)


def test_bleu_without_sacrebleu_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match=r"task\.metric: sentence_bleu needs sacreBLEU; install it"):
        TranslationTask(parallel_text(tmp_path))
