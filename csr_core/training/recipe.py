"""What a training run is asked to do: numbers, and the presets that name good sets of them."""

import math
from dataclasses import dataclass

__all__ = ["PRESETS", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run. The same recipe, data and seed give the same model.

    Attributes:
        backbone: timm model name.
        output_stride: pixels a patch is wide at `image_size`.
        image_size: side of the square network input in pixels.
        prototypes: M, prototypes a concept.
        projection: D, channels of the projected space.
        weights: where the backbone starts: "imagenet" (package or hub) or "random".
        epochs: passes over the data in stage 1.
        batch: images a step in stage 1.
        learning_rate: peak rate of stage 1; a cosine follows one epoch of warm-up.
        weight_decay: of stage 1.
        diagnosis_weight: weight of an auxiliary diagnosis loss in stage 1; 0 trains the features
            on concepts alone, as in the paper.
        region_weight: weight of region supervision in stage 1, where the data set has masks or
            boxes; 0 trains on image labels alone, as in the paper.
        lesion_weight: weight of finding the lesion in stage 1, where its outline is known; the
            features learn what is lesion and what is skin.
        drop_path: share of the images of a batch that skip the last residual block of the backbone
            in stage 1, fewer the blocks before; against learning the images by heart.
        any_orientation: whether an image means the same turned and mirrored; if not, it is only
            mirrored left to right and turned by a few degrees.
        mirrored: whether the fitted network looks at each image's mirror image as well.
        shrinkage: added to the variances that whitening divides by, as a share of their mean; more
            of it leaves strong directions stronger.
        prototype_epochs: passes over the concept vectors in stage 2.
        concept_dropout: copies of the training images, each with some concepts rejected or
            confirmed as their labels say, that the task head is fitted to as well, so that correct
            edits help it; 0 fits it to unedited scores alone, as in the paper.
        validation: share of the training rows that every stage selects on and none is fitted to.
        select_on: split that every stage selects on instead, so that all training rows are fitted
            to; None leaves that to the share.
        half_precision: whether stage 1 computes in bfloat16 where the processor is fast at it.

    Raises:
        ValueError: if a number is out of range, or there are no such weights.
    """

    backbone: str = "tf_efficientnet_lite0"
    output_stride: int = 16
    image_size: int = 224
    prototypes: int = 100
    projection: int = 128
    weights: str = "imagenet"
    epochs: int = 12
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    diagnosis_weight: float = 1.0
    region_weight: float = 0.0
    lesion_weight: float = 0.0
    drop_path: float = 0.2
    any_orientation: bool = True
    mirrored: bool = False
    shrinkage: float = 0.1
    prototype_epochs: int = 20
    concept_dropout: int = 0
    validation: float = 0.15
    select_on: str | None = None
    half_precision: bool = True

    def __post_init__(self) -> None:
        counts = ("image_size", "output_stride", "prototypes", "projection", "epochs", "batch")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.image_size % self.output_stride:
            raise ValueError(
                f"An image of {self.image_size} px can't be cut into patches of "
                f"{self.output_stride} px; choose a size that is a multiple of the stride."
            )
        if self.weights not in ("imagenet", "random"):
            raise ValueError(f"Weights are imagenet or random, not {self.weights!r}.")
        for name in ("region_weight", "lesion_weight", "shrinkage"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more.")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path is {self.drop_path}; it is a share from 0 to below 1.")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation is {self.validation}; it is a share between 0 and 1.")


PRESETS: dict[str, Recipe] = {
    "dermoscopy": Recipe(lesion_weight=1.0, shrinkage=1.0),
    "paper": Recipe(diagnosis_weight=0.0),
    "phantom": Recipe(epochs=7, prototypes=20, diagnosis_weight=0.0, region_weight=1.0),
    # Few images: small batches make steps enough of them, and few prototypes find examples.
    "xray": Recipe(
        image_size=320,
        any_orientation=False,
        mirrored=True,
        batch=8,
        diagnosis_weight=0.0,
        prototypes=40,
    ),
    "quick": Recipe(
        epochs=1, prototypes=4, projection=16, prototype_epochs=2, image_size=64, batch=16
    ),
}
