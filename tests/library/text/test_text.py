"""Text as data: its blocks, its tokenizers, its windows, and what is kept of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.data.sample import DataError
from fusegpt.data.text.config import TextData
from fusegpt.data.text.source import blocks, read_text
from fusegpt.data.text.tokenizer import ByteTokenizer, from_text, learn
from fusegpt.data.text.windows import Windows, open_text

BPE = TextData(tokenizer="bpe", vocab_size=300)
SAMPLE = "The cat sat on the mat. The dog sat on the cat.\n" * 40


def _file(folder: Path, text: str = SAMPLE) -> str:
    file = folder / "some text.txt"
    file.write_text(text, encoding="utf-8")
    return str(file)


def _small(folder: Path, **settings: Any) -> TextData:
    return TextData(**{"path": _file(folder), "block_size": 16, "gap_chars": 50, **settings})


def test_python_itself_brings_english_text() -> None:
    text = read_text(TextData())
    assert len(text) > 400_000
    assert 'The "for" statement' in text


def test_the_blocks_are_in_order_apart_and_of_the_shares_that_were_asked_for() -> None:
    text = "".join(f"line {number:05d}\n" for number in range(2000))
    parts = blocks(text, TextData(gap_chars=500))
    places = {name: (text.index(part), text.index(part) + len(part)) for name, part in parts.items()}
    assert places["train"][0] == 0
    assert places["test"][1] == len(text)
    assert places["val"][0] - places["train"][1] >= 500
    assert places["test"][0] - places["val"][1] >= 500
    assert all(part.startswith("line") for part in parts.values())
    assert len(parts["test"]) == pytest.approx(0.1 * len(text), rel=0.02)
    assert len(parts["val"]) == pytest.approx(0.1 * len(text), rel=0.02)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=60)
def test_both_tokenizers_bring_any_text_back(text: str) -> None:
    for tokenizer in (ByteTokenizer(), LEARNT):
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        assert int(tokenizer.byte_counts()[tokens].sum()) == len(text.encode())


LEARNT = learn(SAMPLE, BPE)


def test_bpe_learns_what_is_frequent_within_the_size_that_it_is_given() -> None:
    assert 256 < LEARNT.size <= 300
    assert len(LEARNT.encode(SAMPLE)) < 0.4 * len(SAMPLE)


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), LEARNT])
def test_a_tokenizer_survives_being_written(tokenizer: Any) -> None:
    again = from_text(tokenizer.to_text())
    assert np.array_equal(again.encode(SAMPLE), tokenizer.encode(SAMPLE))


def test_bytes_that_are_no_character_are_shown_as_such() -> None:
    assert ByteTokenizer().decode(np.array([72, 255, 105])) == "H�i"


def test_a_window_is_tokens_and_the_token_after_each() -> None:
    split = Windows(np.arange(100, dtype=np.int32), 8, np.ones(100, np.int64))
    batch = split.batch(np.array([0, 3]))
    assert len(split) == 12
    assert batch["tokens"][1].tolist() == list(range(24, 32))
    assert batch["targets"][1].tolist() == list(range(25, 33))


def test_in_training_all_windows_begin_later_by_the_same_number() -> None:
    split = Windows(np.arange(1000, dtype=np.int32), 8, np.ones(1000, np.int64))
    one = split.batch(np.array([1, 5]), np.random.default_rng(3))["tokens"]
    other = split.batch(np.array([5]), np.random.default_rng(3))["tokens"]
    assert (one[1] - one[0]).unique().tolist() == [32]
    assert one[1].tolist() == other[0].tolist()
    starts = {int(split.batch(np.array([0]), np.random.default_rng(i))["tokens"][0, 0]) for i in range(60)}
    assert starts == set(range(8))


def test_the_last_window_stays_within_the_text() -> None:
    split = Windows(np.arange(17, dtype=np.int32), 8, np.ones(17, np.int64))
    last = [split.batch(np.array([1]), np.random.default_rng(i))["targets"].max() for i in range(30)]
    assert max(last) == 16


def test_the_mean_of_bits_over_mean_bytes_is_all_bits_over_all_bytes(tmp_path: Path) -> None:
    text = open_text(_small(tmp_path, tokenizer="bpe", vocab_size=280), tmp_path)
    whole = text.splits.val.batch(np.arange(len(text.splits.val)))
    bits = whole["targets"].float().add(1).log2()  # any positive number a token
    per_sample = bits.sum(1) / whole["mean_bytes"]
    n_bytes = text.tokenizer.byte_counts()[whole["targets"].numpy()].sum()
    assert math.isclose(float(per_sample.mean()), float(bits.sum()) / n_bytes, rel_tol=1e-5)


def test_the_same_text_is_read_from_what_was_kept(tmp_path: Path) -> None:
    config = _small(tmp_path)
    first = open_text(config, tmp_path / "cache").splits
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.npy")}
    assert open_text(config, tmp_path / "cache").splits.fingerprint == first.fingerprint
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    Path(config.path).write_text(SAMPLE + "One line more.\n", encoding="utf-8")
    assert open_text(config, tmp_path / "cache").splits.fingerprint != first.fingerprint


def test_the_tokenizer_is_learnt_on_the_training_block_alone(tmp_path: Path) -> None:
    text = SAMPLE * 4 + "zyxwvu " * 400
    config = _small(tmp_path, path=_file(tmp_path, text), tokenizer="bpe", vocab_size=300, gap_chars=0)
    assert len(open_text(config, tmp_path).tokenizer.encode("zyxwvu")) == 6


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe", r"no text in UTF-8 \(byte 0\)"), (b"short", r"data\.block_size: the train block has \d+ tokens")],
)
def test_a_file_that_cannot_be_used_says_why(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=says):
        open_text(TextData(path=str(file)), tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path: .*nothing\.txt cannot be read"):
        open_text(TextData(path=str(tmp_path / "nothing.txt")), tmp_path)


def test_a_tokenizer_file_can_be_brought(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(LEARNT.to_text())
    config = _small(tmp_path, tokenizer="bpe", tokenizer_file=str(file))
    assert open_text(config, tmp_path).tokenizer.to_text() == LEARNT.to_text()
    with pytest.raises(DataError, match=rf"data\.vocab_size: is 260, but .* has {LEARNT.size} tokens"):
        open_text(_small(tmp_path, tokenizer="bpe", vocab_size=260, tokenizer_file=str(file)), tmp_path)
    file.write_text("{}")
    with pytest.raises(DataError, match=r"data\.tokenizer_file: .*tokenizer\.json cannot be read"):
        open_text(config, tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"val_fraction": 0.5, "test_fraction": 0.5}, r"data\.val_fraction \+ data\.test_fraction"),
        ({"tokenizer_file": "x.json"}, r"data\.tokenizer_file needs data\.tokenizer bpe"),
    ],
)
def test_settings_that_do_not_fit_name_each_other(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TextData(**settings)
