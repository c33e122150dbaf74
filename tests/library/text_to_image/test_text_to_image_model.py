"""The discrete VAE and the GPT over its codes: shapes, gradients, causality, guidance, determinism, saving."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from fusegpt.config import SettingError
from fusegpt.models.sequence.config import Sampling
from fusegpt.models.text_to_image.config import TextToImageConfig
from fusegpt.models.text_to_image.discrete_vae import divergence
from fusegpt.models.text_to_image.generate import _guided, _marks, generate
from fusegpt.models.text_to_image.model import TextToImage

WORDS, MAX_WORDS, SIDE_PX = 7, 3, 16
SMALL = TextToImageConfig(codes=6, patch_px=4, vae_channels=8, vae_blocks=1, n_layer=1, n_head=2, n_embd=8)
SAMPLING = Sampling()


@pytest.fixture(params=[2, 4, 8], ids="patch {}".format)
def model(request: pytest.FixtureRequest) -> TextToImage:
    return build(SMALL.model_copy(update={"patch_px": request.param}))


def build(config: TextToImageConfig = SMALL) -> TextToImage:
    torch.manual_seed(0)
    model = config.build(SIDE_PX, WORDS, MAX_WORDS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def batch(size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (size, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8, generator=generator)
    return image, torch.randint(1, WORDS, (size, MAX_WORDS), generator=generator)


@pytest.mark.parametrize(("steps", "learns"), [(0, ("vae", "gpt")), (SMALL.vae_steps, ("gpt",))])
def test_the_vae_learns_in_its_turn_and_then_rests(model: TextToImage, steps: int, learns: tuple[str, ...]) -> None:
    model.steps += steps
    losses = model.train()(*batch())
    assert {name: tuple(loss.shape) for name, loss in losses.items()} == dict.fromkeys(
        ("loss", "reconstruction", "kl", "codes", "caption"), (3,)
    )
    losses["loss"].sum().backward()
    moved = {name: p.grad is not None and bool(p.grad.abs().sum() > 0) for name, p in model.named_parameters()}
    assert moved == {name: name.startswith(learns) for name, _ in model.named_parameters()}


def test_the_gpt_begins_after_as_many_steps_of_training_as_are_set_and_the_codes_stay() -> None:
    torch.manual_seed(0)
    model = SMALL.model_copy(update={"vae_steps": 2}).build(SIDE_PX, WORDS, MAX_WORDS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    image, caption = batch(8)
    told = []
    for _ in range(4):
        optimizer.zero_grad()
        losses = model.train()(image, caption)
        losses["loss"].mean().backward()
        optimizer.step()
        model.eval()(image, caption)
        told.append([bool(losses[name].detach().sum() > 0) for name in ("reconstruction", "codes")])
    assert told == [[True, False]] * 2 + [[False, True]] * 2
    before = {name: tensor.clone() for name, tensor in model.vae.state_dict().items()}
    optimizer.zero_grad()
    model.train()(image, caption)["loss"].mean().backward()
    optimizer.step()  # the one that the VAE learnt with: its momentum moves nothing either
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.vae.state_dict().items())


def test_codes_are_told_from_the_caption_and_the_codes_before_them_only() -> None:
    model = build().eval()
    image, caption = batch(1)
    codes = model.encode(image)
    with torch.no_grad():
        before = model.gpt(torch.cat([caption, model.words + codes], 1))
        codes[:, 5] = (codes[:, 5] + 1) % SMALL.codes
        after = model.gpt(torch.cat([caption, model.words + codes], 1))
    changed = (before != after).any(-1)[0]
    assert changed.nonzero()[0].item() == MAX_WORDS + 5


def test_codes_become_a_picture_of_the_size_of_the_first(model: TextToImage) -> None:
    image, _ = batch()
    codes = model.eval().encode(image)
    rebuilt = model.decode(codes)
    assert codes.shape == (3, (SIDE_PX // model.config.patch_px) ** 2)
    assert (rebuilt.shape, rebuilt.dtype) == (image.shape, torch.uint8)


def test_the_divergence_is_0_of_the_uniform_and_log_k_of_certainty() -> None:
    uniform, certain = torch.zeros(2, 5, 3, 3), torch.zeros(2, 5, 3, 3)
    certain[:, 2] = 1000.0
    torch.testing.assert_close(divergence(uniform), torch.zeros(2))
    torch.testing.assert_close(divergence(certain), torch.full((2,), math.log(5)))


def test_codes_of_a_line_and_of_a_column_begin_with_something_in_common() -> None:
    model = SMALL.build(SIDE_PX, WORDS, MAX_WORDS)
    places = model.gpt.wpe.weight[MAX_WORDS:].view(model.side, model.side, SMALL.n_embd)
    lines, columns = places.chunk(2, dim=-1)
    assert torch.equal(lines, lines[:, :1].expand_as(lines))
    assert torch.equal(columns, columns[:1].expand_as(columns))
    assert len(places.flatten(0, 1).unique(dim=0)) == model.side**2


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_with_kept_keys_and_values_the_same_codes_are_drawn(guidance: float) -> None:
    model, (_, caption) = build().eval(), batch()
    cached = generate(model, caption, SAMPLING, guidance)
    assert torch.equal(cached, generate(model, caption, SAMPLING, guidance, cached=False))
    assert int(cached.min()) >= 0
    assert int(cached.max()) < SMALL.codes


def test_a_caption_gets_its_picture_whoever_else_asks_and_another_seed_another() -> None:
    model, (_, caption) = build().eval(), batch(4)
    together = generate(model, caption, SAMPLING, 2.0)
    assert torch.equal(together[1:2], generate(model, caption[1:2], SAMPLING, 2.0))
    assert not torch.equal(together, generate(model, caption, Sampling(seed=1), 2.0))


def test_guidance_goes_from_no_caption_through_the_caption_and_beyond() -> None:
    told, blank = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    both = torch.cat([told, blank])
    torch.testing.assert_close(_guided(both, 0.0), blank)
    torch.testing.assert_close(_guided(both, 3.0), torch.tensor([[7.0, -2.0]]))
    assert torch.equal(_guided(told, 1.0), told)


def test_without_any_guidance_the_caption_counts_for_nothing() -> None:
    model, (_, caption) = build().eval(), batch(4)
    none = generate(model, caption, SAMPLING, 0.0)
    marks = _marks(caption, model.side**2, SAMPLING.seed)
    assert not torch.equal(none, generate(model, caption, SAMPLING, 5.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusegpt.models.text_to_image.generate._marks", lambda *_: marks)
        assert torch.equal(none, generate(model, torch.zeros_like(caption), SAMPLING, 1.0))


def test_training_hides_captions_and_judging_hides_none() -> None:
    model, (image, caption) = build(SMALL.model_copy(update={"caption_pdrop": 0.999})), batch(3)
    torch.manual_seed(0)
    hidden, shown = model.train()._hidden(caption), model.eval()._hidden(caption)
    assert not hidden.any()
    assert torch.equal(shown, caption)
    del image


def test_a_saved_and_loaded_model_draws_the_same(tmp_path: Path) -> None:
    model, (image, caption) = build(), batch()
    model.train()(image, caption)  # moves the statistics of the VAE's codes
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    loaded = SMALL.build(SIDE_PX, WORDS, MAX_WORDS, fetch=False)
    loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
    first, again = (generate(m.eval(), caption, SAMPLING, 2.0) for m in (model, loaded))
    assert torch.equal(first, again)
    assert torch.equal(model.decode(first), loaded.decode(first))


def test_two_pictures_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    config = TextToImageConfig(codes=8, vae_channels=16, vae_steps=60, n_layer=1, n_embd=32)
    model = config.build(SIDE_PX, WORDS, MAX_WORDS)
    image = torch.full((8, 3, SIDE_PX, SIDE_PX), 255, dtype=torch.uint8)
    image[::2, :2, :8], image[1::2, 1:, 8:] = 0, 0
    caption = torch.tensor([[1, 2, 0], [3, 4, 0]]).repeat(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(140):
        optimizer.zero_grad()
        model(image, caption)["loss"].mean().backward()
        optimizer.step()
    drawn = model.eval().decode(generate(model, caption[:2], Sampling(temperature=0), 2.0))
    assert (drawn.float() - image[:2].float()).abs().mean() < 20


@pytest.mark.parametrize("norm", ["batchnorm", "instancenorm"])
def test_norms_that_look_ahead_are_refused(norm: str) -> None:
    with pytest.raises(ValidationError, match=rf"model\.norm \({norm}\)"):
        TextToImageConfig.model_validate({"norm": norm})


def test_a_picture_that_is_no_whole_number_of_patches_is_refused() -> None:
    with pytest.raises(SettingError, match=r"model\.patch_px: pictures of 18 pixels"):
        SMALL.build(18, WORDS, MAX_WORDS)
