"""The registry: versions of a model, the gate before the alias `champion`, and the way back.

Registry (registry.py)  register, promote, rollback, withdraw, champion, challenger, lineup, download
judge    (gate.py)      whether a challenger beats the champion, with an interval; figures in, a sentence out
judging.py              a version's files and the champion's -> every check of the gate -> a decision
side_by_side.py         a forward's time, the size, inputs and outputs beside the champion's
rollout.py              how a challenger is tried on real requests first: as canary or as shadow
files.py                what a version may consist of: safetensors and JSON, nothing that can run code
"""

from service.registry.gate import Check, Decision, GateConfig
from service.registry.registry import Registry
from service.registry.rollout import Lineup, Rollout
from service.registry.version import Version

__all__ = ["Check", "Decision", "GateConfig", "Lineup", "Registry", "Rollout", "Version"]
