"""Which model each `model.cell` is: one more cell is one more line."""

from __future__ import annotations

from fusegpt.models.gpt.config import GPTConfig
from fusegpt.models.gpt.model import GPT
from fusegpt.models.sequence.config import SequenceConfig
from fusegpt.models.sequence.markov import Markov
from fusegpt.models.sequence.model import SequenceModel
from fusegpt.models.sequence.recurrent import Recurrent
from fusegpt.models.sequence.window import Window


def build_cell(config: SequenceConfig, vocab_size: int) -> SequenceModel:
    """A new model over `vocab_size` tokens, with freshly drawn weights."""
    if config.cell == "markov":
        return Markov(vocab_size, config.pseudo_count)
    if config.cell == "window":
        return Window(config, vocab_size)
    if config.cell == "gpt":
        return GPT(_gpt(config), vocab_size)
    return Recurrent(config, config.cell, vocab_size)


def _gpt(config: SequenceConfig) -> GPTConfig:
    return GPTConfig(
        block_size=config.block_size,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        embd_pdrop=config.pdrop,
        attn_pdrop=config.pdrop,
        resid_pdrop=config.pdrop,
    )
