"""`DiscreteVae`: a picture as a grid of codes, and back.

Shapes: B batch, (H, W) pixels, (h, w) grid of codes, K codes, C channels (vae_channels).
Ramesh et al., Zero-Shot Text-to-Image Generation, 2021; Jang et al., Categorical Reparameterization with
Gumbel-Softmax, 2017.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from fusegpt.models.text_to_image.config import TextToImageConfig

# How far the codes' logits lie apart at first: nearly all codes are in use, and each is told from the others.
SPREAD = 4.0


class DiscreteVae(nn.Module):
    """Pictures are float32, 0 where nothing is drawn, to 1."""

    def __init__(self, config: TextToImageConfig) -> None:
        super().__init__()
        self.codes, self.temperature = config.codes, config.gumbel_temperature
        steps, C = int(math.log2(config.patch_px)), config.vae_channels
        halves = (C >> (steps - 1 - i) for i in range(steps))  # fewer channels where there are more pixels
        widths = [3, *(max(4, half) for half in halves)]
        down = [m for a, b in pairwise(widths) for m in (_halved(a, b), nn.ReLU())]
        up = [m for b, a in pairwise(widths[::-1]) for m in (_doubled(b, a), nn.ReLU())]
        # No code may win everywhere or nowhere: without this norm, one takes all the pictures within a few steps.
        spread = nn.BatchNorm2d(config.codes)
        nn.init.constant_(spread.weight, SPREAD)
        self.encoder = nn.Sequential(*down, *_blocks(config), nn.Conv2d(C, config.codes, 1), spread)
        self.decoder = nn.Sequential(nn.Conv2d(config.codes, C, 1), *_blocks(config), *up[:-1])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) -> the picture through codes drawn softly (B, 3, H, W), and the codes' logits (B, K, h, w)."""
        logits = self.encoder(pixels)
        drawn = F.gumbel_softmax(logits.float(), self.temperature, dim=1)
        return self.decoder(drawn), logits

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> the likeliest codes, (B, h, w) int64."""
        codes: torch.Tensor = self.encoder(pixels).argmax(1)
        return codes

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """(B, h, w) int64 -> (B, 3, H, W)."""
        one_hot = F.one_hot(codes, self.codes).movedim(-1, 1)  # (B, h, w) -> (B, K, h, w)
        pixels: torch.Tensor = self.decoder(one_hot.float())
        return pixels


def divergence(logits: torch.Tensor) -> torch.Tensor:
    """KL of the codes' distributions from the uniform, in nats a code: (B, K, h, w) -> (B,)."""
    log_q = logits.float().log_softmax(1)
    kl = (log_q.exp() * log_q).sum(1) + math.log(logits.shape[1])  # (B, h, w)
    return kl.flatten(1).mean(1)


class _Residual(nn.Module):
    """(B, C, h, w) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.net(x)
        return y


def _blocks(config: TextToImageConfig) -> list[nn.Module]:
    return [_Residual(config.vae_channels) for _ in range(config.vae_blocks)]


def _halved(channels: int, out: int) -> nn.Module:
    return nn.Conv2d(channels, out, 4, stride=2, padding=1)


def _doubled(channels: int, out: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1)
