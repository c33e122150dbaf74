"""The Open Inference Protocol, version 2, over gRPC: the same tensors, models, limits and errors as over HTTP.

Ray Serve listens and calls; what is here are messages, codes and tokens. The generated messages are those that
`tritonclient` ships: https://github.com/triton-inference-server/common/tree/main/protobuf
"""
