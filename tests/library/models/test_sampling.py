"""Drawing the next token: top-k, top-p, temperature."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusegpt.models.sequence.config import Sampling
from fusegpt.models.sequence.sampling import draw, probabilities

logits = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=12, unique=True).map(lambda row: torch.tensor([row]))


@settings(max_examples=100)
@given(logits, st.integers(1, 12))
def test_top_k_leaves_the_k_likeliest_in_their_old_proportions(row: torch.Tensor, k: int) -> None:
    chances = probabilities(row, Sampling(temperature=1.0, top_k=k))[0]
    kept = row[0].topk(min(k, row.shape[1])).indices
    wanted = torch.zeros_like(chances)
    wanted[kept] = row[0][kept].softmax(-1)
    torch.testing.assert_close(chances, wanted)


@settings(max_examples=100)
@given(logits, st.floats(0.01, 0.99))
def test_top_p_leaves_the_fewest_that_hold_p(row: torch.Tensor, p: float) -> None:
    kept = probabilities(row, Sampling(temperature=1.0, top_p=p))[0] > 0
    all_chances = row[0].softmax(-1)
    held = float(all_chances[kept].sum())
    assert held >= p - 1e-5
    assert held - float(all_chances[kept].min()) < p + 1e-5
    assert not kept.all() or held > 1 - 1e-5
    assert all_chances[kept].min() >= all_chances[~kept].max() if not kept.all() else True


def test_temperature_0_takes_the_likeliest_and_a_high_one_evens_out() -> None:
    row = torch.tensor([[1.0, 3.0, 2.0]])
    assert probabilities(row, Sampling(temperature=0)).tolist() == [[0, 1, 0]]
    torch.testing.assert_close(probabilities(row, Sampling(temperature=1e6)), torch.full((1, 3), 1 / 3))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    row, generator = torch.tensor([[0.1, 0.0, 0.6, 0.3]]).log(), torch.Generator().manual_seed(0)
    drawn = [int(draw(row, Sampling(temperature=1.0), generator)) for _ in range(3000)]
    shares = [drawn.count(token) / 3000 for token in range(4)]
    torch.testing.assert_close(torch.tensor(shares), torch.tensor([0.1, 0.0, 0.6, 0.3]), atol=0.03, rtol=0)
    assert shares[1] == 0


def test_what_a_row_draws_does_not_depend_on_the_others() -> None:
    rows = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    together = draw(rows, Sampling(), torch.Generator().manual_seed(1))
    alone = [draw(row[None], Sampling(), torch.Generator().manual_seed(1)) for row in rows]
    assert torch.equal(together, torch.cat(alone))
