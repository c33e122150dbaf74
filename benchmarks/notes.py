"""What do the questions about attention, positions, norms and memory measure as? The tables of docs/notes.md."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks._notes import attention, layout, norms, past, positions, teacher_forcing
from benchmarks._notes.table import Table

# A heading of docs/notes.md, and the demonstrations under it.
DEMONSTRATIONS: dict[str, tuple[Callable[[], Table], ...]] = {
    "Why are heads split and then permuted?": (layout.splits, layout.one_product),
    "Why heads at all, if they never meet?": (attention.heads,),
    "`contiguous` and `view`, or `reshape`?": (layout.joins,),
    "Why divide by the square root of d_k?": (attention.scale,),
    "Does a token attend mostly to itself?": (attention.own_weight,),
    "Why positions, and are they encoded or embedded?": (positions.order, positions.kinds),
    "Are there position embeddings?": (positions.models,),
    "What does teacher forcing change at test time?": (teacher_forcing.steps, teacher_forcing.passes),
    "Batch, layer, instance or group norm?": (norms.reach,),
    "What happens when an RNN's past fades?": (past.fading,),
}


def main() -> None:
    torch.set_num_threads(1)
    for question, demonstrations in DEMONSTRATIONS.items():
        print(f"## {question}\n")
        for demonstration in demonstrations:
            print(demonstration().markdown() + "\n", flush=True)


if __name__ == "__main__":
    main()
