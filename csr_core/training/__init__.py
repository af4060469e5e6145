"""Training: three stages from labelled images to a checkpoint."""

from csr_core.training.discard import discard_prototypes
from csr_core.training.processes import Processes
from csr_core.training.recipe import PRESETS, Recipe
from csr_core.training.run import train
from csr_core.training.tuning import fine_tune

__all__ = ["PRESETS", "Processes", "Recipe", "discard_prototypes", "fine_tune", "train"]
