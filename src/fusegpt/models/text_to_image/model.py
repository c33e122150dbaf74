"""`TextToImage`: a discrete VAE, and a GPT that tells its codes from a caption, one after the other.

Shapes: B batch, L words of a caption, (H, W) pixels, (h, w) grid of codes, N = h * w codes, K codes to choose from,
V = words + K tokens: a code's token is its number after the words.
Ramesh et al., Zero-Shot Text-to-Image Generation, 2021; guidance as in Ho and Salimans, Classifier-Free Diffusion
Guidance, 2021, for logits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.config import SettingError
from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.gpt.model import GPT
from fusegpt.models.text_to_image.config import TextToImageConfig
from fusegpt.models.text_to_image.discrete_vae import DiscreteVae, divergence
from fusegpt.nn.positions import sinusoidal

# How large the codes' positions are at first: tokens begin at 0.02.
PLACE = 0.1


class TextToImage(nn.Module):
    """Both parts, trained one after the other: `vae_steps` steps the VAE, then the GPT on codes that stay as they are.

    In the VAE's steps the GPT learns the captions' words alone. Were it to rest, Adam's means would rest at 0 with it,
    and its first real steps would be ten times too long.
    """

    learns_in_parts = True  # what rests has no gradient: even one of 0 would let Adam's momentum carry the VAE on
    steps: torch.Tensor

    def __init__(self, config: TextToImageConfig, image_px: int, words: int, max_words: int) -> None:
        super().__init__()
        if image_px % config.patch_px:
            raise SettingError(
                f"model.patch_px: pictures of {image_px} pixels are no whole number of patches of {config.patch_px}"
            )
        self.config, self.words, self.max_words = config, words, max_words
        self.side = image_px // config.patch_px
        self.vae = DiscreteVae(config)
        self.gpt = GPT(_gpt(config, max_words + self.side**2), words + config.codes)
        with torch.no_grad():
            self.gpt.wpe.weight[max_words:] = PLACE * _places(self.side, config.n_embd)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, image: torch.Tensor, caption: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, 3, H, W) uint8 and (B, L) -> losses, each (B,): "loss" of the part whose turn it is, and its parts.

        reconstruction in squared error, kl, codes and caption in nats a token; 0 of the part that rests.
        """
        of_vae = int(self.steps) < self.config.vae_steps
        if self.training:
            self.steps += 1
        return self._of_vae(image, caption) if of_vae else self._of_gpt(image, caption)

    def _of_vae(self, image: torch.Tensor, caption: torch.Tensor) -> dict[str, torch.Tensor]:
        ink = _ink(image)
        rebuilt, logits = self.vae(ink)
        error = (rebuilt.float() - ink).square().flatten(1).mean(1)
        kl = divergence(logits)
        words = self._surprise(caption).mean(1)
        numbers = 3 * self.config.patch_px**2  # of the patch that a code stands for
        loss = numbers * error + self.config.kl_weight * kl + words
        return {"loss": loss, "reconstruction": error, "kl": kl, "caption": words, "codes": torch.zeros_like(loss)}

    def _of_gpt(self, image: torch.Tensor, caption: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            codes = self.encode(image)
        told = self.nats(self._hidden(caption), codes)
        loss = told["codes"] + self.config.caption_weight * told["caption"]
        return {"loss": loss, **told, **dict.fromkeys(("reconstruction", "kl"), torch.zeros_like(loss))}

    def nats(self, caption: torch.Tensor, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        """How surprising the words are and the codes after them, in nats a token: (B, L), (B, N) -> each (B,)."""
        tokens = torch.cat([caption, self.words + codes], dim=1)
        surprise, words = self._surprise(tokens), self.max_words - 1
        return {"caption": surprise[:, :words].mean(1), "codes": surprise[:, words:].mean(1)}

    def _surprise(self, tokens: torch.Tensor) -> torch.Tensor:
        """How surprising each token but the first is, in nats: (B, T) -> (B, T - 1)."""
        logits = self.gpt(tokens[:, :-1]).float()  # (B, T - 1, V)
        return F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) uint8 -> the codes, (B, N)."""
        return self.vae.encode(_ink(image)).flatten(1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, 3, H, W) uint8."""
        ink = self.vae.decode(codes.view(-1, self.side, self.side)).float()
        return ((1 - ink).clamp(0, 1) * 255).round().to(torch.uint8)

    def _hidden(self, caption: torch.Tensor) -> torch.Tensor:
        """In training, some of the captions blank, so that guidance has what to compare with."""
        if not self.training or not self.config.caption_pdrop:
            return caption
        kept = torch.rand(len(caption), 1, device=caption.device) >= self.config.caption_pdrop
        return caption * kept


def _ink(image: torch.Tensor) -> torch.Tensor:
    """What a picture has that white paper has not, 0 to 1: the VAE's networks are at rest where nothing is drawn."""
    return 1 - image.float() / 255


def _places(side: int, n_embd: int) -> torch.Tensor:
    """(N, n_embd): half of each row tells the line by sines, half the column, for a picture is no line of text."""
    line, column = (sinusoidal(side, width) for width in (n_embd // 2, n_embd - n_embd // 2))
    grid = [line[:, None].expand(-1, side, -1), column[None].expand(side, -1, -1)]  # each (h, w, width)
    return torch.cat(grid, dim=-1).flatten(0, 1)


def _gpt(config: TextToImageConfig, block_size: int) -> GPTConfig:
    shared = set(GPTConfig.model_fields) & set(TextToImageConfig.model_fields) - {"kind"}
    return GPTConfig(block_size=block_size, **config.model_dump(include=shared))
