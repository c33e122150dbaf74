"""A tab-separated file -> three parts, such that no source text is in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fusegpt.data.parallel_text.config import ParallelTextData
from fusegpt.data.parallel_text.pairs import Pair, PairSplit, fingerprint
from fusegpt.data.parallel_text.tokens import source_tokens, target_tokens
from fusegpt.data.sample import DataError, Problem
from fusegpt.tasks.task import Splits


def open_splits(config: ParallelTextData) -> Splits:
    """The three parts of the file. Raises DataError naming the file and its line."""
    pairs, _ = read(config)
    if not pairs:
        raise DataError(f"{config.path}: holds no pair of texts (data.path)")
    parts: dict[str, list[Pair]] = {"train": [], "val": [], "test": []}
    for pair in pairs:
        parts[_part(pair.source, config)].append(pair)
    splits = {name: PairSplit(part) for name, part in parts.items()}
    return Splits(**splits, fingerprint=fingerprint(*splits.values()))


def read(config: ParallelTextData) -> tuple[list[Pair], list[Problem]]:
    """The pairs of the file, and what was left out. Raises DataError where `data.on_problem` is "refuse"."""
    pairs, problems = [], []
    for number, line in _lines(Path(config.path).expanduser()):
        source, *target = line.split("\t")
        if wrong := _wrong(source, target, config):
            problems.append(Problem(f"{config.path}:{number}", wrong))
            if config.on_problem == "refuse":
                raise DataError(f"{problems[-1]} (or set data.on_problem: skip)")
            continue
        pairs.append(Pair(source, target[0]))
    return pairs, problems


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); data.path must name a file of pairs") from None
    numbered = enumerate(text.split("\n"), start=1)
    return ((number, line.removesuffix("\r")) for number, line in numbered if line.strip())


def _wrong(source: str, target: list[str], config: ParallelTextData) -> str:
    """What is wrong with a line; nothing where it is right."""
    if len(target) != 1:
        return f"has {len(target)} tabs; one is right, between source and target"
    if not source.strip() or not target[0].strip():
        return "has an empty text on one side of its tab"
    longest = max(len(source_tokens(source)), len(target_tokens(target[0])))
    return (
        f"has {longest} tokens, more than data.max_tokens ({config.max_tokens})" if longest > config.max_tokens else ""
    )


def _part(source: str, config: ParallelTextData) -> str:
    """By a hash of the source: a sentence that occurs twice is never in two parts."""
    place = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") / 2**64
    if place < config.val_fraction:
        return "val"
    return "test" if place < config.val_fraction + config.test_fraction else "train"
