"""One suite over all sequence models: shapes, gradients, causality, memory, determinism, saving, learning."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.sequence.config import Cell, Sampling, SequenceConfig
from fusegpt.models.sequence.generate import generate
from fusegpt.models.sequence.model import SequenceModel
from fusegpt.nn.config import LoraConfig

V = 11
SMALL = {"n_embd": 16, "n_head": 2, "n_layer": 2, "block_size": 24}
MODELS: dict[str, GPTConfig | SequenceConfig] = {
    **{cell: SequenceConfig.model_validate({**SMALL, "cell": cell, "window": 3}) for cell in get_args(Cell)},
    "window of one": SequenceConfig(cell="window", n_embd=16, window=1),
    "one layer": SequenceConfig(cell="lstm", n_embd=16, n_layer=1, pdrop=0.2),
    "gpt, written out": GPTConfig.model_validate({**SMALL, "attention": "math", "norm": "rmsnorm"}),
    "gpt with lora": GPTConfig.model_validate({**SMALL, "lora": LoraConfig(rank=2)}),
}


@pytest.fixture(params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> SequenceModel:
    """A model that has seen a text, with no zeros that a fresh one has by design."""
    torch.manual_seed(0)
    made = MODELS[request.param].build(V)
    made.look_at(torch.randint(0, V, (500,)))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


def _tokens(*shape: int) -> torch.Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(1))


def test_there_is_a_logit_for_each_token_at_each_place(model: SequenceModel) -> None:
    logits = model.eval()(_tokens(3, 7))
    assert logits.shape == (3, 7, V)
    assert torch.isfinite(logits).all()


def test_surprise_is_that_of_the_logits(model: SequenceModel) -> None:
    tokens, targets = _tokens(3, 7), _tokens(4, 7)[1:]
    model.eval()
    wanted = -model(tokens).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(model.nats(tokens, targets), wanted, atol=1e-5, rtol=1e-5)


def test_the_gradient_reaches_every_trained_parameter(model: SequenceModel) -> None:
    model.train().nats(_tokens(3, 9), _tokens(4, 9)[1:]).mean().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_a_token_is_told_from_those_before_it_alone(model: SequenceModel) -> None:
    tokens = _tokens(2, 9)
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % V
    model.eval()
    torch.testing.assert_close(model(tokens)[:, :5], model(changed)[:, :5], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(model(tokens)[:, 5:], model(changed)[:, 5:])


@pytest.mark.parametrize("steps", [[1] * 9, [4, 1, 4], [2, 7]])
def test_a_memory_stands_for_the_tokens_before(model: SequenceModel, steps: list[int]) -> None:
    tokens, memory = _tokens(2, 9), model.eval().memory()
    with torch.no_grad():
        pieces = [model(piece, memory) for piece in tokens.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", [1, 5, 40])
def test_generation_with_a_memory_writes_what_it_writes_without(model: SequenceModel, prompt: int) -> None:
    sampling = Sampling(max_new_tokens=45, temperature=1.0, top_k=5, seed=3)  # beyond the context of 24
    tokens = _tokens(2, prompt)
    model.eval()
    assert torch.equal(generate(model, tokens, sampling), generate(model, tokens, sampling, cached=False))


def test_evaluation_is_deterministic_and_one_text_is_as_good_as_many(model: SequenceModel) -> None:
    tokens = _tokens(3, 7)
    model.eval()
    assert torch.equal(model(tokens), model(tokens))
    torch.testing.assert_close(model(tokens)[1:2], model(tokens[1:2]), atol=1e-5, rtol=1e-5)


def test_a_saved_and_loaded_model_says_the_same(model: SequenceModel, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    before = model.eval()(_tokens(2, 7))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
    model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(model(_tokens(2, 7)), before)


def test_a_tiny_problem_is_learnt(model: SequenceModel) -> None:
    """A text that repeats itself: each token follows from the one before."""
    text = torch.arange(V).repeat(30)
    model.look_at(text)
    tokens, targets = text[:20].repeat(4, 1), text[1:21].repeat(4, 1)
    trained = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        before = float(model.eval().nats(tokens, targets).mean())
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        model.train().nats(tokens, targets).mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert float(model.eval().nats(tokens, targets).mean()) < 0.7 * before
