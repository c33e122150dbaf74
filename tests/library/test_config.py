"""Configs: strict, frozen, and with errors that name the setting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from fusegpt.config import Config, closest, explain, flatten


class Inner(Config):
    width: int = Field(default=4, ge=1, description="A width.")


class Outer(Config):
    inner: Inner = Field(default=Inner(), description="A group.")
    rate: float = Field(default=0.5, le=1, description="A rate.")


names = st.text("abc_", min_size=1, max_size=5)
leaves = st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
trees = st.recursive(leaves, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3), max_leaves=8)


@given(st.dictionaries(names, trees, max_size=3))
def test_a_flattened_mapping_leads_back_to_every_value(nested: dict[str, Any]) -> None:
    for key, value in flatten(nested).items():
        at: Any = nested
        for part in key.split("."):
            at = at[part]
        assert at == value
        assert not (isinstance(value, dict) and value)


def test_an_unknown_setting_is_an_error_with_its_dotted_key() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"wdith": 3}, "rate": 2})
    assert explain(caught.value).splitlines() == [
        "inner.wdith: is no setting here",
        "rate: Input should be less than or equal to 1",
    ]


def test_a_config_cannot_be_changed_and_can_be_hashed() -> None:
    outer = Outer()
    with pytest.raises(ValidationError):
        outer.rate = 0.1  # type: ignore[misc]
    assert hash(outer) == hash(Outer())


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert closest("n_hed", ["n_head", "n_embd"]) == " (did you mean n_head?)"
    assert closest("colour", ["n_head", "n_embd"]) == ""
