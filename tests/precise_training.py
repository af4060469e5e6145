"""Training that shows small mistakes, run by one process in a test and by several from a launcher:

accelerate launch tests/precise_training.py DATA OUT
"""

import sys
from dataclasses import replace
from pathlib import Path

from quick_training import HOLDOUT, QUICK, SEED

from csr_core.datasets import load_dataset
from csr_core.training import train

# All losses, no rounding to half precision; of 46 images the last batch has one, so that of two
# processes one has none.
RECIPE = replace(QUICK, batch=15, region_weight=1.0, lesion_weight=1.0, half_precision=False)


def train_precisely(data: Path, out: Path) -> Path:
    return train(load_dataset(data), out, RECIPE, seed=SEED, holdout=HOLDOUT, refit=True)


if __name__ == "__main__":
    train_precisely(Path(sys.argv[1]), Path(sys.argv[2]))
