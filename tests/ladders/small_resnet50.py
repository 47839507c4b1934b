"""A workload made for a GPU, in small."""

from models.resnet50 import small as workload

__all__ = ["workload"]
