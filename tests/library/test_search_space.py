"""Search domains: what is written is what is tried."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fusegpt.search_space import Choice, Domain, Integer, LogUniform, Uniform, divisible, nearest_multiple, parse

finite = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def integers(draw: st.DrawFn, low: int = -1000) -> Integer:
    first, step, count = draw(st.integers(low, 1000)), draw(st.integers(1, 64)), draw(st.integers(1, 50))
    return Integer(low=first, high=first + step * (count - 1), step=step)


@st.composite
def ranges(draw: st.DrawFn) -> Uniform:
    low, high = sorted(draw(st.lists(finite, min_size=2, max_size=2, unique=True)))
    return Uniform(low=low, high=high)


@st.composite
def logarithmic(draw: st.DrawFn) -> LogUniform:
    low, high = sorted(draw(st.lists(st.floats(1e-9, 1e6), min_size=2, max_size=2, unique=True)))
    return LogUniform(low=low, high=high)


values = st.booleans() | st.integers(-100, 100) | finite | st.text(max_size=8)
choices = st.lists(values, min_size=1, max_size=5).map(lambda written: Choice(values=tuple(written)))
domains = choices | integers() | ranges() | logarithmic()


@given(domains)
def test_a_domain_survives_being_written_and_read(domain: Domain) -> None:
    again = parse(json.loads(json.dumps(domain.spec())))
    assert again == domain
    assert type(again) is type(domain)


@given(integers())
def test_an_integer_domain_contains_both_ends_and_nothing_beyond(domain: Integer) -> None:
    assert domain.contains(domain.low)
    assert domain.contains(domain.high)
    assert not domain.contains(domain.low - domain.step)
    assert not domain.contains(domain.high + domain.step)
    assert sum(domain.contains(value) for value in range(domain.low, domain.high + 1)) == domain.count


@given(ranges() | logarithmic())
def test_a_range_contains_its_ends(domain: Uniform) -> None:
    assert domain.contains(domain.low)
    assert domain.contains(domain.high)
    assert not domain.contains(math.nextafter(domain.high, math.inf))


def test_a_choice_tells_true_from_one() -> None:
    assert not Choice(values=(1, 2)).contains(True)
    assert not Choice(values=(True,)).contains(1)


@given(st.integers(1, 600), st.integers(1, 64), st.integers(1, 500), st.integers(0, 500))
def test_the_nearest_multiple_divides_and_stays_in_range(value: int, of: int, low: int, span: int) -> None:
    high = low + span
    if not any(number % of == 0 for number in range(low, high + 1)):
        with pytest.raises(ValueError, match=f"no multiple of {of}"):
            nearest_multiple(value, of, low, high)
        return
    found = nearest_multiple(value, of, low, high)
    assert found % of == 0
    assert low <= found <= high
    assert all(abs(found - value) <= abs(other - value) for other in range(low, high + 1) if other % of == 0)


@given(integers(low=1), st.sampled_from([1, 2, 4, 8, 16]), st.data())
def test_a_drawn_pair_is_moved_to_where_it_divides(domain: Integer, divisor: int, data: st.DataObject) -> None:
    value = domain.low + domain.step * data.draw(st.integers(0, domain.count - 1))
    settings = {"model.n_embd": value, "model.n_head": divisor}
    if not any(number % divisor == 0 for number in range(domain.low, domain.high + 1)):
        return
    moved = divisible(settings, {"model.n_embd": "model.n_head"}, {"model.n_embd": domain})
    assert moved["model.n_embd"] % divisor == 0
    assert domain.low <= moved["model.n_embd"] <= domain.high
    assert moved["model.n_head"] == divisor


def test_a_choice_is_moved_only_to_one_of_its_values() -> None:
    rules = {"model.n_embd": "model.n_head"}
    space: dict[str, Domain] = {"model.n_embd": Choice(values=(60, 100, 128))}
    assert divisible({"model.n_embd": 100, "model.n_head": 8}, rules, space)["model.n_embd"] == 128
    with pytest.raises(ValueError, match=r"model\.n_embd: none of \[60, 100, 128\] is a multiple of model\.n_head = 7"):
        divisible({"model.n_embd": 100, "model.n_head": 7}, rules, space)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"low": 3, "high": 1}, "high .1. must not be below low .3."),
        ({"low": 1, "high": 8, "step": 3}, "must be a multiple of step"),
        ({"low": 0.0, "high": 1.0, "log": True}, "above 0 for a logarithmic range"),
        ({"low": 1.0, "high": 1.0}, "must be above low"),
        ({"from": 1, "to": 2}, "is no search domain: write a list of values"),
        (3, "is no search domain"),
    ],
)
def test_a_wrong_domain_says_what_would_be_right(written: Any, says: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=says):
        parse(written)
