"""The language task, from text to text: training, figures, a checkpoint that answers, pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fusegpt.config import SettingError
from fusegpt.data.text import TextData
from fusegpt.data.world.config import WorldData
from fusegpt.experiment import Experiment
from fusegpt.models.fusion.config import FusionConfig
from fusegpt.models.gpt import GPTConfig
from fusegpt.models.sequence import SequenceConfig
from fusegpt.models.sequence.config import Sampling
from fusegpt.predictor import Predictor
from fusegpt.signature import InputError
from fusegpt.tasks.language import LanguageConfig
from fusegpt.tasks.language.task import packed, unpacked
from fusegpt.training.config import TrainingConfig
from fusegpt.training.evaluate import evaluate
from fusegpt.training.loop import train

TEXT = "".join(f"{n} and {n} is {2 * n}.\n" for n in range(120))
MODELS: dict[str, GPTConfig | SequenceConfig] = {
    "gpt": GPTConfig(block_size=16, n_layer=1, n_head=2, n_embd=16),
    "markov": SequenceConfig(cell="markov"),
    "gru": SequenceConfig(cell="gru", n_embd=16, n_layer=1),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _experiment(folder: Path, model: GPTConfig | SequenceConfig, **data: Any) -> Experiment:
    file = folder / "sums.txt"
    file.write_text(TEXT, encoding="utf-8")
    return Experiment(
        name="example",
        task=LanguageConfig(sampling=Sampling(max_new_tokens=12, top_k=3)),
        model=model,
        data=TextData(**{"path": str(file), "block_size": 16, "gap_chars": 20, **data}),
        training=TrainingConfig(epochs=2, batch_size=8, lr=1e-2, precision="fp32"),
    )


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("tokenizer", ["byte", "bpe"])
def test_a_trained_checkpoint_answers_text_with_text_without_the_data(
    model: str, tokenizer: str, tmp_path: Path
) -> None:
    experiment = _experiment(tmp_path, MODELS[model], tokenizer=tokenizer, vocab_size=280)
    result = train(experiment, tmp_path / "trial", tmp_path / "cache")
    assert 0 < result.metrics["val/bits_per_byte"] < 8
    assert result.metrics["val/perplexity"] == pytest.approx(math.exp(result.metrics["val/loss"]))
    (tmp_path / "sums.txt").unlink()
    predictor = Predictor.load(result.best)
    together = predictor.predict([{"text": np.asarray(text)} for text in ("7 and 7", "é", "")])
    alone = predictor.predict([{"text": np.asarray("7 and 7")}])[0]
    assert str(alone["text"]) == str(together[0]["text"]) != ""
    assert len(together) == 3
    predictor.warm_up((2,))


def test_bits_per_byte_are_the_surprise_of_all_tokens_over_all_bytes(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, MODELS["markov"], tokenizer="bpe", vocab_size=270)
    result = train(experiment, tmp_path / "trial", tmp_path / "cache")
    found = evaluate(result.best, tmp_path / "cache", "val")
    predictor = Predictor.load(result.best)
    split = predictor.task.open_splits(tmp_path / "cache").val
    batch = split.batch(np.arange(len(split)))
    nats = float(predictor.model(batch["tokens"], batch["targets"]).double().sum())
    n_bytes = predictor.model.tokenizer.byte_counts()[batch["targets"].numpy()].sum()  # type: ignore[union-attr, operator]
    assert found.metrics["bits_per_byte"] == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-5)
    assert found.metrics["bits_per_byte"] == pytest.approx(result.metrics["val/bits_per_byte"], rel=1e-5)
    assert found.per_sample["bits_per_byte"].shape == (len(split),)


def test_the_counted_pairs_are_those_of_the_training_block(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, MODELS["markov"])
    task = experiment.task.build(experiment)
    splits = task.open_splits(tmp_path / "cache")
    pairs = task.build_model().get_buffer("network.pairs")
    assert int(pairs.sum()) == len(splits.train.tokens) - 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("keep", ["whole", "adapters"])
def test_a_trained_model_goes_on_learning_by_adapters(keep: str, tmp_path: Path) -> None:
    base = train(_experiment(tmp_path, MODELS["gpt"], tokenizer="bpe", vocab_size=280), tmp_path / "a", tmp_path / "c")
    tuned = GPTConfig.model_validate(
        {
            **MODELS["gpt"].model_dump(),
            "pretrained": str(base.best),
            "lora": {"rank": 2, "checkpoint": keep, "targets": [r"attn\.qkv", r"mlp\.\d"]},
        }
    )
    tokens = {"tokenizer": "bpe", "vocab_size": 280, "tokenizer_file": str(base.best / "model.safetensors")}
    experiment = _experiment(tmp_path, tuned, **tokens)
    result = train(experiment, tmp_path / "b", tmp_path / "c")
    assert result.metrics["val/bits_per_byte"] < base.metrics["val/bits_per_byte"]
    held = load_file(result.best / "model.safetensors")
    frozen = [name for name in held if "lora_" not in name and "vocabulary" not in name]
    assert bool(frozen) == (keep == "whole")
    assert evaluate(result.best, tmp_path / "c", "val").metrics["bits_per_byte"] == pytest.approx(
        result.metrics["val/bits_per_byte"], rel=1e-5
    )
    if keep == "whole":
        before = load_file(base.best / "model.safetensors")
        assert all(torch.equal(held[name], before[name]) for name in frozen)


def test_weights_of_other_tokens_are_refused(tmp_path: Path) -> None:
    base = train(_experiment(tmp_path, MODELS["gpt"], tokenizer="bpe", vocab_size=280), tmp_path / "a", tmp_path / "c")
    moved = GPTConfig.model_validate({**MODELS["gpt"].model_dump(), "pretrained": str(base.best)})
    experiment = _experiment(tmp_path, moved, tokenizer="bpe", vocab_size=280, val_fraction=0.4)
    with pytest.raises(SettingError, match=r"data\.tokenizer: these are not the tokens of model\.pretrained"):
        train(experiment, tmp_path / "b", tmp_path / "c")


def test_adapters_alone_need_what_they_were_learnt_on() -> None:
    with pytest.raises(ValueError, match=r"model\.lora\.checkpoint: adapters needs .* model\.pretrained"):
        GPTConfig.model_validate({"lora": {"rank": 2, "checkpoint": "adapters"}})


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, MODELS["gpt"])
    task = experiment.task.build(experiment)
    splits = task.open_splits(tmp_path / "cache")
    [picture] = task.draw(task.build_model().eval(), splits.val, tmp_path / "pictures")
    assert picture.stat().st_size > 5000


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({}, "text: is missing"),
        ({"text": np.zeros(3)}, "text: must be one text, not float64"),
        ({"text": np.asarray("x" * 100_001)}, "text: has 100001 bytes"),
    ],
)
def test_a_wrong_request_names_the_field(request_: dict[str, Any], says: str, tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, MODELS["gpt"])
    with pytest.raises(InputError, match=says):
        experiment.task.build(experiment).encode([request_])


def test_texts_of_all_lengths_travel_as_one_batch() -> None:
    texts = ["", "a", "Ünicode 字", "a\0b", "line\nbreak"]
    assert unpacked(packed(texts)) == texts


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"model": FusionConfig()}, r"model\.kind must be gpt or sequence for task\.kind language"),
        ({"data": WorldData()}, r"data\.source must be text for task\.kind language"),
        ({"model": GPTConfig(block_size=64)}, r"data\.block_size \(128\) must not be above model\.block_size \(64\)"),
    ],
)
def test_parts_that_do_not_fit_a_text_name_the_setting(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Experiment(**{"name": "example", "task": LanguageConfig(), "model": GPTConfig(), "data": TextData(), **parts})


def test_driving_is_refused_to_be_learnt_from_text() -> None:
    from fusegpt.tasks import WaypointsConfig

    with pytest.raises(ValueError, match=r"data\.source: text is no source of driving"):
        Experiment(name="example", task=WaypointsConfig(), model=FusionConfig(), data=TextData())
    with pytest.raises(ValueError, match=r"model\.kind must be fusion"):
        Experiment(name="example", task=WaypointsConfig(), model=GPTConfig(), data=WorldData())
