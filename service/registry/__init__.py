"""The registry: versions of a model, the gate before the alias `champion`, and the way back.

Registry (registry.py)  register, promote, rollback, champion, download
judge    (gate.py)      whether a challenger beats the champion, with an interval; figures in, a sentence out
files.py                what a version may consist of: safetensors and JSON, nothing that can run code
"""

from service.registry.gate import Decision, GateConfig
from service.registry.registry import Registry
from service.registry.version import Version

__all__ = ["Decision", "GateConfig", "Registry", "Version"]
