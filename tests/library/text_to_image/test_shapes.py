"""Captioned shapes: the grammar, what is held out, and the judge, which must be right before it judges a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusegpt.data.shapes.config import ShapesData
from fusegpt.data.shapes.drawing import Placed, draw
from fusegpt.data.shapes.judge import ASKED, judge, judged, look
from fusegpt.data.shapes.scene import (
    COLOURS,
    MAX_WORDS,
    RELATIONS,
    SHAPES,
    SIZES,
    WORDS,
    Scene,
    Thing,
    every_pair,
    numbers,
    parse,
    spoken,
)
from fusegpt.data.shapes.source import ShapeSplit, held_out, open_splits

SMALL = ShapesData(train_samples=300, val_samples=50, test_samples=600)

things = st.builds(Thing, st.sampled_from(COLOURS), st.sampled_from(SHAPES), st.sampled_from(("", *SIZES)))


@st.composite
def scenes(draw_: st.DrawFn) -> Scene:
    first, second = draw_(things), draw_(things)
    if first.colour == second.colour:
        return Scene(first)
    return Scene(first, draw_(st.sampled_from(sorted(RELATIONS))), second)


@given(scenes())
def test_a_caption_is_read_back_as_the_scene_that_wrote_it(scene: Scene) -> None:
    words = numbers(str(scene))
    assert parse(str(scene)) == scene
    assert len(words) == MAX_WORDS
    assert parse(spoken(words)) == scene


@given(scenes())
def test_both_wordings_of_a_sight_and_all_its_sizes_are_one_combination(scene: Scene) -> None:
    plain = [Thing(thing.colour, thing.shape) for thing in scene.things]
    assert Scene(plain[0], scene.relation, *plain[1:]).combination == scene.combination
    if scene.second:
        turned = Scene(scene.second, RELATIONS[scene.relation], scene.first)
        assert turned.combination == scene.combination
        assert Scene(scene.first, RELATIONS[scene.relation], scene.second).combination != scene.combination


def test_a_caption_may_leave_out_articles_and_have_capitals() -> None:
    assert str(parse("Small red circle ABOVE blue square")) == "a small red circle above a blue square"


@pytest.mark.parametrize(
    ("caption", "wrong"),
    [
        ("a pink circle", "'pink' is no word"),
        ("a circle", "'a circle' is no thing; write .*small"),
        ("a red circle above", "'' is no thing"),
        ("a red circle a blue square", "is no caption"),
        ("a red circle above a red square", "is no caption; .* of another colour"),
        ("a red circle above a blue square above", "is no caption"),
        ("of", "'of' is no thing"),
    ],
)
def test_what_is_no_caption_is_refused_with_what_would_be(caption: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse(caption)


def test_no_combination_is_in_two_parts_and_all_words_are_in_training(tmp_path: Path) -> None:
    parts = held_out(SMALL)
    combinations = {name: {scene.combination for scene in scenes} for name, scenes in parts.items()}
    assert sum(map(len, combinations.values())) == len(set().union(*combinations.values())) == len(every_pair()) // 2
    splits = SMALL.open_splits(tmp_path)
    seen = {
        name: {scene.combination for scene in split.scenes if scene.second}
        for name in ("train", "val", "test")
        if isinstance(split := getattr(splits, name), ShapeSplit)
    }
    assert all(seen[name] <= combinations[name] for name in seen)
    assert isinstance(splits.train, ShapeSplit)
    assert set(splits.train.captions.ravel()) == set(range(len(WORDS)))


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    first, again, other = open_splits(SMALL), open_splits(SMALL), open_splits(SMALL.model_copy(update={"seed": 1}))
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(("cells", "image_px"), [(8, 32), (16, 32), (16, 64)])
def test_the_judge_is_right_about_true_pictures(cells: int, image_px: int) -> None:
    test = open_splits(SMALL.model_copy(update={"cells": cells, "image_px": image_px})).test
    assert isinstance(test, ShapeSplit)
    verdicts = judged(test.images, test.scenes)
    assert {name: right.mean() >= 0.99 for name, right in verdicts.items()} == dict.fromkeys(verdicts, True)


def test_the_judge_bears_what_a_model_draws_with_noise() -> None:
    test = open_splits(SMALL).test
    assert isinstance(test, ShapeSplit)
    noise = np.random.default_rng(0).normal(0, 10, test.images.shape)
    noisy = np.clip(test.images + noise, 0, 255).astype(np.uint8)
    assert judged(noisy, test.scenes)["accuracy"].mean() > 0.97


TRUTH = parse("a small red circle above a large blue square")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("a small red circle above a large green square", {"colour"}),
        ("a small red triangle above a large blue square", {"shape"}),
        ("a large red circle above a large blue square", {"size"}),
        ("a small red circle left of a large blue square", {"relation"}),
        ("a small red circle below a large blue square", {"relation"}),
        ("a small red circle", set(ASKED)),
        ("a red circle above a blue square", set()),
        ("a large blue square below a small red circle", set()),
    ],
)
def test_the_judge_tells_what_is_wrong(said: str, wrong: set[str]) -> None:
    placed = [Placed(TRUTH.things[0], 4, 5, 1), Placed(TRUTH.things[1], 6, 4, 8)]
    (picture,) = draw([placed], 16, 32)
    verdict = judge(picture, parse(said))
    assert {name for name in ASKED if not verdict[name]} == wrong


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "side"), [("small", 4), ("large", 6)])
def test_each_thing_is_seen_as_what_it_is_in_every_corner(colour: str, shape: str, size: str, side: int) -> None:
    thing = Thing(colour, shape, size)
    for left, top in ((0, 0), (16 - side, 0), (0, 16 - side), (16 - side, 16 - side), (3, 7)):
        (seen,) = look(draw([[Placed(thing, side, left, top)]], 16, 32)[0])
        assert seen.thing == thing


def test_an_empty_picture_and_one_of_one_colour_show_nothing_right() -> None:
    for grey in (255, 0):
        verdict = judge(np.full((32, 32, 3), grey, np.uint8), TRUTH)
        assert not any(verdict.values())
