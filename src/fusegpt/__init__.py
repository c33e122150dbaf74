"""fusegpt: camera + LiDAR fusion transformers, and everything needed to train and judge them, on any machine.

This package is the library: PyTorch, timm and pydantic. It knows no platform (no Ray, MLflow or HTTP).
"""

__version__ = "0.1.0"
