from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from standin import SPACE, experiment

from fusegpt.config import SettingError
from fusegpt.experiment import Experiment
from fusegpt.search_space import Choice, Domain, Integer, LogUniform, Uniform
from service.cluster.draws import Draws, distribution


@st.composite
def integers(draw: st.DrawFn) -> Integer:
    low, step, steps = draw(st.integers(-50, 50)), draw(st.integers(1, 9)), draw(st.integers(0, 6))
    return Integer(low=low, high=low + step * steps, step=step)


DOMAINS = st.one_of(
    st.lists(st.integers(-5, 5), min_size=1, unique=True).map(lambda values: Choice(values=tuple(values))),
    integers(),
    st.tuples(st.floats(-9, 0), st.floats(0.1, 9)).map(lambda ends: Uniform(low=ends[0], high=ends[1])),
    st.tuples(st.floats(1e-6, 1e-2), st.floats(0.1, 9)).map(lambda ends: LogUniform(low=ends[0], high=ends[1])),
)


@given(DOMAINS)
@settings(max_examples=60)
def test_a_distribution_is_read_back_as_the_domain_that_it_came_from(domain: Domain) -> None:
    made = distribution(domain)
    if isinstance(domain, Choice):
        assert made.choices == domain.values
    elif isinstance(domain, Integer):
        assert (made.low, made.high, made.step) == (domain.low, domain.high, domain.step)
    else:
        assert (made.low, made.high, made.log) == (domain.low, domain.high, isinstance(domain, LogUniform))


def test_both_ends_of_a_range_of_whole_numbers_are_drawn() -> None:
    drawn = [Draws(experiment(seed=seed), "min").draw(1)["model.n_embd"] for seed in range(60)]
    assert {64, 256} <= set(drawn)
    assert isinstance(distribution(SPACE["model.n_embd"]), IntDistribution)


def grid_of(trials: int, defaults: dict[str, Any], **space: Any) -> Experiment:
    asked = experiment(trials=trials, space={f"model.{key}": value for key, value in space.items()})
    return asked.override({"search.algorithm": "grid", **defaults})


def test_a_grid_is_every_combination_once_the_defaults_first() -> None:
    defaults = {"model.n_embd": 128, "model.n_head": 2}
    asked = grid_of(12, defaults, n_head=[1, 2, 4], n_embd={"low": 64, "high": 256, "step": 64})
    for seed in (0, 7):
        draws = Draws(asked.override({"search.seed": seed}), "min")
        drawn = [draws.draw(number, []) for number in range(12)]
        assert drawn[0] == {"model.n_head": 2, "model.n_embd": 128}
        assert len({tuple(each.values()) for each in drawn}) == 12
        assert {each["model.n_embd"] for each in drawn} == {64, 128, 192, 256}
    assert all(asked.override(each).search == asked.search for each in drawn), "each is a trial of the same search"


def test_a_combination_that_does_not_divide_is_refused_before_anything_trains() -> None:
    asked = grid_of(6, {"model.n_embd": 64}, n_head=[1, 2, 4], n_embd=[64, 130])
    with pytest.raises(SettingError, match=r"search\.space\.model\.n_embd: 130 does not go with the rest of"):
        Draws(asked, "min")


def test_a_combination_with_too_many_parameters_is_refused_and_not_drawn_again() -> None:
    asked = grid_of(2, {"model.n_embd": 64, "search.constraints.parameters.max": 1.0}, n_embd=[64, 256])
    draws = Draws(asked, "min", count=lambda _: 5, redrawn=lambda: pytest.fail("drawn again"))
    assert draws.draw(1, [])["model.n_embd"] == 256
    assert draws.excess(draws.draw(1, []))


def test_trial_0_is_the_default_settings() -> None:
    asked = experiment()
    assert Draws(asked, "min").draw(0) == {key: asked.settings()[key] for key in SPACE}


@given(st.integers(0, 10_000), st.integers(1, 50), st.sampled_from(["random", "tpe", "bohb"]))
@settings(max_examples=40)
def test_every_draw_lies_in_the_space_and_makes_an_experiment(seed: int, number: int, algorithm: str) -> None:
    asked = experiment(seed=seed, algorithm=algorithm)
    drawn = Draws(asked, "min").draw(number)
    assert drawn["model.n_embd"] % drawn["model.n_head"] == 0
    assert SPACE["model.n_head"].contains(drawn["model.n_head"])
    assert 64 <= drawn["model.n_embd"] <= 256
    assert 0.0 <= drawn["model.resid_pdrop"] <= 0.5
    assert all(asked.override(drawn).settings()[key] == value for key, value in drawn.items())


def test_what_was_moved_to_divide_is_part_of_what_was_drawn() -> None:
    space = {"model.n_head": Choice(values=(3, 5, 6, 7))}
    asked = experiment().override({"search.space": space})
    drawn = Draws(asked, "min").draw(1)
    assert drawn["model.n_embd"] % drawn["model.n_head"] == 0
    assert drawn["model.n_embd"] == asked.override(drawn).settings()["model.n_embd"]


def test_no_settings_are_tried_twice_while_there_are_others() -> None:
    asked = experiment().override({"search.space": {"model.n_head": Choice(values=(1, 2, 8))}})
    taken: list[dict[str, Any]] = [Draws(asked, "min").draw(0)]
    for number in (1, 2, 3):
        taken.append(Draws(asked, "min").draw(number, taken))
    assert sorted(drawn["model.n_head"] for drawn in taken) == [1, 2, 4, 8]
    assert Draws(asked, "min").draw(4, taken)["model.n_head"] in (1, 2, 8)


@pytest.mark.parametrize("algorithm", ["random", "asha", "tpe", "bohb"])
def test_a_search_taken_up_again_draws_what_it_would_have_drawn(algorithm: str) -> None:
    asked = experiment(algorithm=algorithm)
    unbroken, again = Draws(asked, "min"), Draws(asked, "min")
    before = [unbroken.draw(number) for number in range(1, 10)]
    for told, drawn in enumerate(before):
        unbroken.tell(drawn, {1: float(told)}, stopped=False)
        again.tell(drawn, {1: float(told)}, stopped=False)
    assert again.draw(10) == unbroken.draw(10)


def test_tpe_draws_near_what_was_good() -> None:
    asked = experiment(algorithm="tpe")
    draws = Draws(asked, "min")
    for number in range(1, 40):
        drawn = draws.draw(number)
        draws.tell(drawn, {1: abs(drawn["model.resid_pdrop"] - 0.4)}, stopped=False)
    late = [draws.draw(number)["model.resid_pdrop"] for number in range(100, 110)]
    early = [Draws(asked, "min").draw(number)["model.resid_pdrop"] for number in range(100, 110)]
    assert sum(abs(p - 0.4) for p in late) < 0.6 * sum(abs(p - 0.4) for p in early)


def test_default_settings_outside_the_space_are_tried_but_not_learnt_from() -> None:
    asked = experiment(algorithm="tpe").override({"model.n_embd": 32})
    draws = Draws(asked, "min")
    draws.tell(draws.draw(0), {1: 1.0}, stopped=False)
    assert draws.draw(0)["model.n_embd"] == 32
    assert 64 <= draws.draw(1)["model.n_embd"] <= 256


def test_a_space_without_settings_that_fit_is_said_to_be_so() -> None:
    asked = experiment().override({"search.space": {"model.n_head": [7], "model.n_embd": [64, 128]}})
    with pytest.raises((SettingError, ValueError), match=r"model\.n_embd"):
        Draws(asked, "min").draw(1)


def width(asked: Experiment) -> int:
    """In place of the model's parameters."""
    return int(asked.settings()["model.n_embd"]) * 1000


def test_what_has_too_many_parameters_is_drawn_again_and_counted() -> None:
    asked = experiment(constraints={"parameters": {"max": 130_000}})
    redrawn: list[None] = []
    draws = Draws(asked, "min", count=width, redrawn=lambda: redrawn.append(None))
    drawn = [draws.draw(number) for number in range(1, 30)]
    assert max(each["model.n_embd"] for each in drawn) <= 128
    free = Draws(experiment(), "min", count=width)
    too_large = sum(free.draw(number)["model.n_embd"] > 130 for number in range(1, 30))
    assert len(redrawn) >= too_large > 0


def test_a_limit_that_nothing_keeps_is_refused_with_the_smallest_model_there_is() -> None:
    asked = experiment(constraints={"parameters": {"max": 1000}})
    with pytest.raises(SettingError, match=r"search\.constraints\.parameters\.max: .*64,000"):
        Draws(asked, "min", count=width).draw(1)


def test_default_settings_that_break_a_limit_say_by_what() -> None:
    draws = Draws(experiment(constraints={"parameters": {"max": 10_000}}), "min", count=width)
    assert draws.excess({"model.n_embd": 64}) == "infeasible: parameters 64,000 > 10,000"
    assert draws.excess(draws.draw(0)).endswith("> 10,000")
    assert Draws(experiment(), "min", count=width).excess(draws.draw(0)) == ""


def test_rates_are_drawn_without_counting_again() -> None:
    counted: list[Experiment] = []

    def count(asked: Experiment) -> int:
        counted.append(asked)
        return 1

    space = {"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    draws = Draws(experiment(space=space, constraints={"parameters": {"max": 10}}), "min", count=count)
    for number in range(1, 9):
        draws.draw(number)
    assert len(counted) == 1


def test_tpe_keeps_away_from_what_was_too_slow() -> None:
    limited = {"latency_ms": {"max": 20.0}}
    draws = Draws(experiment(algorithm="tpe", constraints=limited), "min")
    for number in range(1, 30):
        drawn = draws.draw(number)
        slow = drawn["model.n_embd"] > 128
        values = {} if slow else {1: 1.0}
        draws.tell(drawn, values, stopped=False, costs={"latency_ms": 40.0 if slow else 10.0})
    late = [draws.draw(number)["model.n_embd"] > 128 for number in range(100, 130)]
    early = [Draws(experiment(), "min").draw(number)["model.n_embd"] > 128 for number in range(100, 130)]
    assert sum(late) < sum(early) / 2


@pytest.mark.parametrize("algorithm", ["tpe", "bohb"])
def test_several_objectives_draw_along_the_front(algorithm: str) -> None:
    """Accuracy wants the largest width, parameters the smallest; no dropout is best for both."""
    draws = Draws(experiment(algorithm=algorithm, trials=60, objectives=["parameters"]), "min")
    for number in range(1, 40):
        drawn = draws.draw(number)
        value = 100.0 / drawn["model.n_embd"] + drawn["model.resid_pdrop"]
        draws.tell(drawn, {3: value}, stopped=False, costs={"parameters": drawn["model.n_embd"]})
    late = [draws.draw(number) for number in range(100, 140)]
    assert sum(drawn["model.resid_pdrop"] for drawn in late) / 40 < 0.2
    assert {64, 256} <= {round(drawn["model.n_embd"] / 64) * 64 for drawn in late}


def test_bohb_learns_from_the_highest_rung_that_knows_enough() -> None:
    """After one epoch little dropout looks good; after three, much is."""
    draws = Draws(experiment(algorithm="bohb", epochs=3), "min")
    for number in range(1, 60):
        drawn = draws.draw(number)
        dropout = drawn["model.resid_pdrop"]
        values = {1: dropout} if number % 3 else {1: dropout, 2: 0.3, 3: 0.5 - dropout}
        draws.tell(drawn, values, stopped=3 not in values)
    late = [draws.draw(number)["model.resid_pdrop"] for number in range(100, 160)]
    assert sum(late) / 60 > 0.29
    assert min(late) < 0.2, "one in three is drawn at random"
