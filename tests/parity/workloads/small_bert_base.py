"""A workload made for a GPU, in small."""

from models.bert_base import small as workload

__all__ = ["workload"]
