"""The counted Markov chain: its closed forms."""

from __future__ import annotations

import math

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fusegpt.models.sequence.markov import Markov, entropy_rate

texts = st.lists(st.integers(0, 4), min_size=3, max_size=200).map(torch.tensor)


@settings(max_examples=100)
@given(texts)
def test_the_surprise_of_the_counted_text_is_the_entropy_of_its_pairs(text: torch.Tensor) -> None:
    """Without a pseudo-count: -sum over pairs of n(a,b)/N ln(n(a,b)/n(a)), counted here by hand."""
    model = Markov(5, pseudo_count=1e-12).eval()
    model.look_at(text)
    pairs = list(zip(text.tolist(), text.tolist()[1:], strict=False))
    first = [a for a, _ in pairs]
    by_hand = -sum(math.log(pairs.count((a, b)) / first.count(a)) for a, b in pairs) / len(pairs)
    surprise = model.nats(text[None, :-1], text[None, 1:]).mean().item()
    assert math.isclose(surprise, by_hand, abs_tol=1e-5)
    counts = model.pairs.double()
    rows = counts / counts.sum(1, keepdim=True).clamp(min=1)
    closed = float(entropy_rate(rows, counts.sum(1) / counts.sum()))
    assert math.isclose(surprise, closed, abs_tol=1e-5)


@settings(max_examples=20)
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_two_states_have_the_entropy_rate_of_the_textbook(p: float, q: float) -> None:
    def h(x: float) -> float:
        return -x * math.log(x) - (1 - x) * math.log(1 - x)

    transitions = torch.tensor([[1 - p, p], [q, 1 - q]], dtype=torch.float64)
    stationary = torch.tensor([q, p], dtype=torch.float64) / (p + q)
    assert math.isclose(float(entropy_rate(transitions, stationary)), (q * h(p) + p * h(q)) / (p + q), rel_tol=1e-9)


@settings(max_examples=50)
@given(texts, st.floats(0.01, 100))
def test_its_chances_are_a_distribution_also_after_what_was_never_seen(text: torch.Tensor, k: float) -> None:
    model = Markov(5, k).eval()
    model.look_at(text)
    chances = model(torch.arange(5)[None]).exp()
    torch.testing.assert_close(chances.sum(-1), torch.ones(1, 5))
    assert (chances > 0).all()


@settings(max_examples=50)
@given(texts)
@example(torch.zeros(200, dtype=torch.int64))
def test_in_training_each_pair_is_told_from_all_the_others(text: torch.Tensor) -> None:
    model = Markov(5, 2.0).train()
    model.look_at(text)
    for place in range(len(text) - 1):
        a, b = text[place], text[place + 1]
        others = [pair for i, pair in enumerate(zip(text.tolist(), text.tolist()[1:], strict=False)) if i != place]
        seen, total = others.count((int(a), int(b))), sum(first == int(a) for first, _ in others)
        wanted = (seen + 2.0 * float(model.singles[b])) / (total + 2.0)
        told = model.nats(a.view(1, 1), b.view(1, 1)).item()
        assert math.isclose(told, -math.log(wanted), rel_tol=1e-4, abs_tol=1e-6)  # of what is all but certain, float32


def test_left_to_the_counted_text_itself_no_pseudo_count_would_be_best() -> None:
    """Why training leaves one out: judged on the text that was counted, k falls without end."""
    text = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(0))
    model = Markov(5, 2.0)
    model.look_at(text)
    slopes = []
    for mode in (model.eval, model.train):
        mode()
        model.zero_grad()
        model.nats(text[None, :-1], text[None, 1:]).mean().backward()
        assert model.log_k.grad is not None
        slopes.append(float(model.log_k.grad))
    assert slopes[0] > 0 > slopes[1]
