"""What a GPT can start from: a Hugging Face folder, or a checkpoint of our own."""

from __future__ import annotations

from pathlib import Path

from fusegpt.models.gpt import huggingface
from fusegpt.models.gpt.model import GPT

OURS = "network."  # where the network is within what a language model's checkpoint holds


def load_into(model: GPT, folder: Path) -> None:
    """Put the weights of `folder` into a model of its sizes. Raises SettingError naming the file or the setting."""
    if not (folder / "experiment.json").is_file():
        huggingface.load_into(model, folder)
        return
    file = folder / "model.safetensors"
    weights = huggingface.read_weights(file)
    network = {name.removeprefix(OURS): tensor for name, tensor in weights.items() if name.startswith(OURS)}
    huggingface.put(network, model, file)
