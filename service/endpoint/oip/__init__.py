"""The Open Inference Protocol, version 2, over HTTP: JSON, and the binary tensor extension of Triton.

Tensors have a leading batch dimension B >= 1, as Triton's have where `max_batch_size` is set: a sweep of N points goes
in as [1, N, 4], waypoints come out as [1, T, 2]. Images are UINT8 [B, H, W, 3] (channels last); [B, 3, H, W] is taken
too. An image or a sweep may also go in as its file, one BYTES element each: [B].
https://github.com/kserve/open-inference-protocol
"""
