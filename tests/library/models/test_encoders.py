"""The encoders: any timm backbone of four stages, any channel count, normalisation inside."""

from __future__ import annotations

import pytest
import timm
import torch

from fusegpt.config import SettingError
from fusegpt.models.fusion.encoders import IMAGENET_MEAN, IMAGENET_STD, ImageCNN, LidarEncoder, stage_channels

CHANNELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "regnety_002": (24, 56, 152, 368),
    "regnety_032": (72, 216, 576, 1512),
    "convnext_atto": (40, 80, 160, 320),
    "convnext_tiny": (96, 192, 384, 768),
}


@pytest.mark.parametrize("name", sorted(CHANNELS))
def test_the_channels_are_known_without_weights(name: str) -> None:
    assert stage_channels(name, "model.image_encoder") == CHANNELS[name]


@pytest.mark.parametrize("name", ["resnet18", "regnety_002", "convnext_atto"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_stage_by_stage_is_what_timm_gives_at_once(name: str, channels: int) -> None:
    encoder = LidarEncoder(name, channels).eval()
    x = torch.randn(1, channels, 64, 96)
    with torch.no_grad():
        expected = encoder.net(x)[-4:]
        for number, theirs in enumerate(expected, start=1):
            x = encoder.stage(number, x)
            assert torch.equal(x, theirs)
            assert x.shape == (1, CHANNELS[name][number - 1], 64 // 2 ** (number + 1), 96 // 2 ** (number + 1))


def test_no_classifier_is_kept() -> None:
    encoder = LidarEncoder("resnet18", 3)
    whole = timm.create_model("resnet18")
    classifier = sum(parameter.numel() for parameter in whole.fc.parameters())
    assert sum(p.numel() for p in encoder.parameters()) == sum(p.numel() for p in whole.parameters()) - classifier


def test_images_are_normalised_with_the_statistics_of_imagenet() -> None:
    image = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    expected = {
        "imagenet": (image / 255 - mean) / std,
        "cvpr2021": (image - mean) / std,
        "unit": image / 255,
    }
    for normalization, theirs in expected.items():
        ours = ImageCNN("resnet18", 3, normalization).normalize(image)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_any_channel_count_are_normalised(channels: int) -> None:
    encoder = ImageCNN("resnet18", channels, "imagenet")
    grey = encoder.normalize(torch.full((1, channels, 4, 4), 255 * 0.45))
    assert grey.shape == (1, channels, 4, 4)
    assert grey.abs().max() < 0.3


def test_weights_that_cannot_be_had_are_told_with_their_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, **options: object) -> object:
        if options.get("pretrained"):
            raise OSError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(SettingError, match=r"model\.pretrained: the weights of resnet18 could not be had .*no route"):
        ImageCNN("resnet18", 3, "imagenet", pretrained=True)


def test_an_encoder_without_published_weights_is_told() -> None:
    with pytest.raises(
        SettingError, match=r"model\.pretrained: timm publishes no weights for model.image_encoder = resnet200"
    ):
        ImageCNN("resnet200", 3, "imagenet", pretrained=True)
