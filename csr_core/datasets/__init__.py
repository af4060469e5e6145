"""Data sets: the folder format, and what writes into it."""

from csr_core.datasets.folder import Box, Dataset, load_dataset, load_image, region_mask
from csr_core.datasets.problems import DatasetError, Problem

__all__ = [
    "Box",
    "Dataset",
    "DatasetError",
    "Problem",
    "load_dataset",
    "load_image",
    "region_mask",
]
