"""The encoder-decoder: against PyTorch's own, its masks, and decoding with and without kept keys and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fusegpt.models.encoder_decoder import EncoderDecoderConfig
from fusegpt.models.encoder_decoder.decoding import Ends, beam, greedy
from fusegpt.models.encoder_decoder.model import EncoderDecoder

V, PADDING, BEGIN, END = 13, 0, 1, 2
ENDS = Ends(BEGIN, END, 9)
SOURCE = torch.tensor([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0], [3, 2, 0, 0, 0]])
TARGET = torch.tensor([[1, 7, 8, 9], [1, 4, 2, 0], [1, 2, 0, 0]])
VARIANTS: dict[str, dict[str, Any]] = {
    "pre": {},
    "post": {"norm_place": "post"},
    "learned": {"positions": "learned", "activation": "gelu"},
    "written out": {"attention": "math", "norm": "groupnorm"},
}


def model_of(**settings: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    config = EncoderDecoderConfig(**{"n_embd": 16, "n_head": 2, "n_layer": 2, "block_size": 12, **settings})
    return config.build(V, PADDING).eval()


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest) -> EncoderDecoder:
    return model_of(**VARIANTS[request.param])


def pytorchs_own(model: EncoderDecoder) -> nn.Transformer:
    """nn.Transformer with the weights of ours."""
    config = model.config
    size = (config.n_embd, config.n_head, config.block_exp * config.n_embd)
    how: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "norm_first": config.norm_place == "pre"}
    layer = nn.TransformerEncoderLayer(*size, **how)
    encoder = nn.TransformerEncoder(layer, config.n_layer, nn.LayerNorm(config.n_embd), enable_nested_tensor=False)
    theirs = nn.Transformer(*size[:2], 0, config.n_layer, size[2], custom_encoder=encoder, **how).eval()
    if config.norm_place == "post":  # the paper has no norm after the last block
        theirs.encoder.norm = theirs.decoder.norm = None
    else:
        theirs.encoder.norm.load_state_dict(model.encoder_ln_f.state_dict())
        theirs.decoder.norm.load_state_dict(model.decoder_ln_f.state_dict())
    for ours, layer in zip(model.encoder, theirs.encoder.layers, strict=True):
        copy_parts(ours, layer, [("attn", "self_attn", "norm1", "around_attn"), ("mlp", "", "norm2", "around_mlp")])
    for ours, layer in zip(model.decoder, theirs.decoder.layers, strict=True):
        parts = [
            ("attn", "self_attn", "norm1", "around_attn"),
            ("cross", "multihead_attn", "norm2", "around_cross"),
            ("mlp", "", "norm3", "around_mlp"),
        ]
        copy_parts(ours, layer, parts)
    return theirs


@torch.no_grad()
def copy_parts(ours: Any, layer: Any, parts: list[tuple[str, str, str, str]]) -> None:
    for part, attention, norm, around in parts:
        getattr(layer, norm).load_state_dict(getattr(ours, around).norm.state_dict())
        if not attention:
            layer.linear1.load_state_dict(ours.mlp[0].state_dict())
            layer.linear2.load_state_dict(ours.mlp[2].state_dict())
            continue
        own, to = getattr(ours, part), getattr(layer, attention)
        fused = hasattr(own, "qkv")
        to.in_proj_weight.copy_(own.qkv.weight if fused else torch.cat([own.q.weight, own.kv.weight]))
        to.in_proj_bias.copy_(own.qkv.bias if fused else torch.cat([own.q.bias, own.kv.bias]))
        to.out_proj.load_state_dict(own.proj.state_dict())


@pytest.mark.parametrize("norm_place", ["pre", "post"])
def test_it_says_what_pytorchs_transformer_says_with_its_weights(norm_place: str) -> None:
    model = model_of(norm_place=norm_place)
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases that begin at 1 and 0 would hide a wrong name
            parameter.add_(torch.randn_like(parameter) * 0.1)
        theirs, hidden = pytorchs_own(model), SOURCE == PADDING
        source = model._embedded(SOURCE, model.source_positions)
        target = model._embedded(TARGET, model.target_positions)
        out = theirs(
            source, target, tgt_mask=torch.ones(4, 4, dtype=torch.bool).triu(1), tgt_is_causal=True,
            src_key_padding_mask=hidden, memory_key_padding_mask=hidden,
        )  # fmt: skip
        torch.testing.assert_close(model(SOURCE, TARGET), out @ model.wte.weight.T, atol=1e-5, rtol=1e-5)


def test_a_token_is_told_from_those_before_it_only(model: EncoderDecoder) -> None:
    other = TARGET.clone()
    other[:, 2:] = 11
    with torch.no_grad():
        torch.testing.assert_close(model(SOURCE, other)[:, :2], model(SOURCE, TARGET)[:, :2])


def test_padding_changes_nothing(model: EncoderDecoder) -> None:
    with torch.no_grad():
        alone = model(SOURCE[1:2, :3], TARGET[1:2])
        torch.testing.assert_close(model(SOURCE, TARGET)[1:2], alone, atol=1e-5, rtol=1e-4)


def test_the_gradient_reaches_every_parameter(model: EncoderDecoder) -> None:
    (model(SOURCE, TARGET) ** 2).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_greedy_with_kept_keys_equals_greedy_without(model: EncoderDecoder) -> None:
    assert torch.equal(greedy(model, SOURCE, ENDS), greedy(model, SOURCE, ENDS, cached=False))


@pytest.mark.parametrize("width", [1, 3, 5])
def test_beams_with_kept_keys_equal_beams_without(model: EncoderDecoder, width: int) -> None:
    kept, anew = beam(model, SOURCE, ENDS, width), beam(model, SOURCE, ENDS, width, cached=False)
    assert torch.equal(kept, anew)


def test_one_beam_is_greedy(model: EncoderDecoder) -> None:
    assert torch.equal(beam(model, SOURCE, ENDS, 1), greedy(model, SOURCE, ENDS))


def test_a_source_gets_the_same_target_alone_and_among_others(model: EncoderDecoder) -> None:
    together, alone = beam(model, SOURCE, ENDS, 3), beam(model, SOURCE[2:, :2], ENDS, 3)
    told = together[2][together[2] != PADDING]
    assert torch.equal(told, alone[0][alone[0] != PADDING])


def test_as_many_beams_as_there_are_targets_find_the_likeliest() -> None:
    model = model_of()
    ends = Ends(BEGIN, END, 2)
    source = SOURCE[:1]
    found = beam(model, source, ends, V, length_penalty=0.0)[0]
    with torch.no_grad():
        first = model(source, torch.tensor([[BEGIN]]))[0, -1].log_softmax(-1)
        second = torch.stack([model(source, torch.tensor([[BEGIN, t]]))[0, -1].log_softmax(-1) for t in range(V)])
    totals = first[:, None] + second
    totals[END] = first[END]  # ended: nothing follows
    best = int(totals.argmax())
    expected = [best // V] if best // V == END else [best // V, best % V]
    assert found[found != PADDING].tolist() == [token for token in expected if token != PADDING]


def test_nothing_is_told_after_the_end() -> None:
    told = greedy(model_of(), SOURCE, Ends(BEGIN, END, 12))
    for row in told.tolist():
        if END in row:
            assert set(row[row.index(END) + 1 :]) <= {PADDING}


def test_a_source_that_is_too_long_is_refused_by_the_setting() -> None:
    with pytest.raises(ValueError, match=r"model\.block_size"):
        model_of()(torch.ones(1, 13, dtype=torch.int64), TARGET[:1])
