"""A workload made for a GPU, in small."""

from models.gpt2_small import small as workload

__all__ = ["workload"]
