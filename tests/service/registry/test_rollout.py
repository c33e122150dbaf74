"""A challenger is tried beside the champion, and whoever misbehaves is taken out of the traffic, once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from test_registry import champion, registry, versions  # noqa: F401  fixtures

from service.errors import Refused
from service.registry import Registry, Rollout

CANARY = Rollout(mode="canary", share=0.1)
SHADOW = Rollout(mode="shadow")

pytestmark = pytest.mark.usefixtures("versions")


@pytest.fixture(name="toy")
def _toy(registry: Registry) -> Registry:  # noqa: F811
    """Version 2 is champion after version 1; version 3 is better than both."""
    registry.promote("toy", 1)
    registry.promote("toy", 2)
    return registry


def challenger(toy: Registry) -> tuple[int, Rollout] | None:
    found = toy.lineup("toy").challenger
    return found and (found.version.number, found.rollout)


def test_a_canary_leaves_the_champion_and_its_promotion_ends_it(toy: Registry) -> None:
    decision = toy.promote("toy", 3, rollout=CANARY)
    assert decision.reason.startswith("canary, 0.1 of the requests: version 3 of toy beats the champion")
    assert (champion(toy), challenger(toy)) == (2, (3, CANARY))
    toy.promote("toy", 3)
    assert (champion(toy), challenger(toy)) == (3, None)


def test_another_share_is_the_same_canary_with_another_share(toy: Registry) -> None:
    toy.promote("toy", 3, rollout=CANARY)
    toy.promote("toy", 3, rollout=Rollout(mode="canary", share=0.5))
    assert challenger(toy) == (3, Rollout(mode="canary", share=0.5))


def test_a_canary_that_the_gate_refuses_is_not_tried_but_a_shadow_is(toy: Registry) -> None:
    assert not toy.promote("toy", 1, rollout=CANARY).accepted
    assert challenger(toy) is None
    decision = toy.promote("toy", 1, rollout=SHADOW)
    assert decision.accepted
    assert [check.passed for check in decision.checks if check.name == "error"] == [False]
    assert challenger(toy) == (1, SHADOW)


def test_a_rollback_ends_what_is_tried_and_only_then_the_champion(toy: Registry) -> None:
    toy.promote("toy", 3, rollout=CANARY)
    assert (toy.end("toy").withdrawn, champion(toy), challenger(toy)) == (3, 2, None)
    assert (toy.end("toy").withdrawn, champion(toy)) == (2, 1)


@pytest.mark.parametrize("number", [2, 3])
def test_what_misbehaves_is_withdrawn_once_with_its_reason_until_it_is_promoted_anew(
    toy: Registry, number: int
) -> None:
    toy.promote("toy", 3, rollout=CANARY)
    assert toy.withdraw("toy", number, "0.3 of its answers failed")
    assert not toy.withdraw("toy", number, "0.4 of its answers failed")
    assert (champion(toy), challenger(toy)) == ((1, (3, CANARY)) if number == 2 else (2, None))
    assert toy.version("toy", number).withdrawn == "rolled back: 0.3 of its answers failed"
    toy.promote("toy", number, force=True)
    assert (champion(toy), toy.version("toy", number).withdrawn) == (number, "")


def test_a_withdrawn_version_is_not_in_the_lineup_even_where_its_alias_did_not_move(
    toy: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(toy._client, "set_registered_model_alias", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            toy.withdraw("toy", 2, "NaN")
    found = toy.lineup("toy").champion
    assert found is not None
    assert (champion(toy), found.number) == (2, 1)


def test_the_first_champion_cannot_be_withdrawn_nor_anything_be_tried_without_a_champion(
    registry: Registry,  # noqa: F811
) -> None:
    with pytest.raises(Refused, match="no champion to try version 2 beside"):
        registry.promote("toy", 2, rollout=CANARY)
    registry.promote("toy", 2)
    with pytest.raises(Refused, match="first champion"):
        registry.withdraw("toy", 2, "NaN")


@pytest.mark.parametrize(
    "wrong", [{"mode": "canary"}, {"mode": "shadow", "share": 0.1}, {"mode": "canary", "share": 1}]
)
def test_a_rollout_without_a_sensible_share_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="share"):
        Rollout.model_validate(wrong)
