"""Data sets: the folder format, and what writes into it."""

from csr_core.datasets.folder import (
    Box,
    Dataset,
    lesion_mask,
    load_dataset,
    load_image,
    region_mask,
)
from csr_core.datasets.problems import DatasetError, Problem

__all__ = [
    "Box",
    "Dataset",
    "DatasetError",
    "Problem",
    "lesion_mask",
    "load_dataset",
    "load_image",
    "region_mask",
]
