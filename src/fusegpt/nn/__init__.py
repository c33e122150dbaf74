"""Parts that belong to no single model: attention, blocks, norms."""
