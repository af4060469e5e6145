"""The CSR network: backbone, concept head, projector, prototypes and task head (Eqs. 1-10)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = [
    "CSRNetwork",
    "CSROutput",
    "NetworkConfig",
    "build_backbone",
    "local_concept_vectors",
    "similarity_maps",
    "similarity_scores",
]


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that fixes the shapes of a network.

    Attributes:
        concepts: K, number of concepts.
        classes: number of diagnoses.
        backbone: a timm model name.
        output_stride: pixels a patch is wide; 224 / 16 gives a grid of 14 × 14.
        image_size: side of the square network input in pixels.
        prototypes: M, prototypes a concept.
        projection: D, channels of the projected space.
        mean: channel means of the images in [0, 1] that the backbone expects.
        std: channel standard deviations that it expects.
        mirrored: whether a fitted network looks at the mirror image as well, at twice the time.

    Raises:
        ValueError: if the patches don't fit the input, or the projection is too small.
    """

    concepts: int
    classes: int
    backbone: str = "tf_efficientnet_lite0"
    output_stride: int = 16
    image_size: int = 224
    prototypes: int = 40
    projection: int = 128
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.projection < 4:
            # Half the channels are normalised over themselves: of one, nothing would be left.
            raise ValueError(
                f"A projection of {self.projection} channels is too small; 4 is least."
            )
        if self.output_stride < 1 or self.image_size < self.output_stride:
            raise ValueError(f"An input of {self.image_size} px has no patch.")
        if self.image_size % self.output_stride:
            raise ValueError(
                f"An input of {self.image_size} px can't be cut into patches of "
                f"{self.output_stride} px."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid, (H, W)."""
        side = self.image_size // self.output_stride
        return side, side


class CSROutput(NamedTuple):
    """Every quantity of one forward pass, by the names of the method."""

    features: Tensor  # (B, C, H, W)
    cams: Tensor  # (B, K, H, W)
    projected: Tensor  # (B, D, H, W)
    similarity_maps: Tensor  # (B, K, M, H, W)
    similarity_scores: Tensor  # (B, K, M)
    logits: Tensor  # (B, classes), float64


class CSRNetwork(nn.Module):
    """Concept-based Similarity Reasoning network.

    Args:
        config: shapes and names; weights start at random, see `training` for how they are fitted.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, config.output_stride)
        channels = self.backbone.feature_info.channels()[-1]
        self.concept_head = nn.Conv2d(channels, config.concepts, kernel_size=1, bias=False)
        self.projector = Projector(channels, config.projection)
        directions = torch.randn(config.concepts, config.prototypes, config.projection)
        self.prototypes = nn.Parameter(F.normalize(directions, dim=-1))  # (K, M, D)
        self.task_head = TaskHead(config.concepts, config.prototypes, config.classes)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def features(self, image: Tensor) -> Tensor:
        """Run the backbone.

        In evaluation mode a `mirrored` network takes the mean of what it finds in the image and,
        put back in place, in its mirror image: what is found by chance is not found in both.

        Args:
            image: (B, 3, H₀, W₀), RGB in [0, 1].

        Returns:
            f, (B, C, H, W).
        """
        image = (image - self.mean) / self.std
        if self.training or not self.config.mirrored:
            return self.backbone(image)[-1]
        seen, mirrored = self.backbone(torch.cat([image, image.flip(-1)]))[-1].chunk(2)
        return (seen + mirrored.flip(-1)) / 2

    def reason(self, features: Tensor) -> CSROutput:
        """Everything after the backbone.

        Args:
            features: f, (B, C, H, W).
        """
        projected = self.projector(features)  # (B, D, H, W)
        maps = similarity_maps(projected, self.prototypes)  # (B, K, M, H, W)
        scores = similarity_scores(maps)  # (B, K, M)
        return CSROutput(
            features, self.concept_head(features), projected, maps, scores, self.task_head(scores)
        )

    def forward(self, image: Tensor) -> CSROutput:
        """Run the whole network on images (B, 3, H₀, W₀), RGB in [0, 1]."""
        return self.reason(self.features(image))


def build_backbone(name: str, output_stride: int, pretrained: bool = False) -> Any:
    """Build a timm feature extractor whose last map has the stride asked for.

    Args:
        name: timm model name.
        output_stride: pixels a cell of the feature map is wide.
        pretrained: fetch ImageNet weights from the hub.

    Returns:
        A module that maps (B, 3, H₀, W₀) to a list whose last entry is (B, C, H, W).

    Raises:
        ValueError: if timm has no such model, or the model has no map of that stride.
    """
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}; timm.list_models() lists the names.")
    try:
        last: Any = timm.create_model(
            name,
            features_only=True,
            output_stride=output_stride,
            out_indices=(-1,),
            pretrained=pretrained,
        )
        if last.feature_info.reduction()[-1] == output_stride:
            return last
    except (TypeError, NotImplementedError, AssertionError, RuntimeError):
        # Transformers and some convolutional nets can't be dilated: take the map that has the
        # stride by nature.
        pass
    whole: Any = timm.create_model(name, features_only=True)
    reductions = whole.feature_info.reduction()
    if output_stride not in reductions:
        raise ValueError(
            f"{name} has feature maps of stride {sorted(set(reductions))}, not {output_stride}."
        )
    level = len(reductions) - 1 - reductions[::-1].index(output_stride)
    return timm.create_model(name, features_only=True, out_indices=(level,), pretrained=pretrained)


def local_concept_vectors(features: Tensor, cams: Tensor) -> Tensor:
    """Pool the features of each concept by its own activation map (Eq. 2).

    Args:
        features: f, (B, C, H, W).
        cams: (B, K, H, W), concept logits a patch.

    Returns:
        v_k = Σ_hw softmax_hw(cam_k) f, (B, K, C).
    """
    weights = cams.flatten(2).softmax(dim=-1)  # (B, K, H·W)
    return weights @ features.flatten(2).transpose(1, 2)  # (B, K, C)


def similarity_maps(projected: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine of every prototype with every projected patch.

    Args:
        projected: (B, D, H, W), unit length along D.
        prototypes: (K, M, D), of any length.

    Returns:
        S, (B, K, M, H, W), in [-1, 1].
    """
    K, M, D = prototypes.shape
    kernels = F.normalize(prototypes, dim=-1).view(K * M, D, 1, 1)
    return F.conv2d(projected, kernels).unflatten(1, (K, M))


def similarity_scores(maps: Tensor) -> Tensor:
    """Best match of each prototype in the image, s_km = max_hw S_km (Eq. 10).

    Args:
        maps: (B, K, M, H, W).

    Returns:
        (B, K, M).
    """
    return maps.amax(dim=(-2, -1))


class Projector(nn.Module):
    """Project features into the space where patches and prototypes are compared.

    A linear map (set to a whitening of the training vectors) is followed by three residual blocks
    that start as the identity: fresh random blocks overfit the few thousand concept vectors.

    Args:
        channels: C, of the features.
        projection: D, of the output.
        blocks: number of residual blocks.
    """

    def __init__(self, channels: int, projection: int, blocks: int = 3) -> None:
        super().__init__()
        self.whitening = nn.Conv2d(channels, projection, kernel_size=1)
        self.blocks = nn.Sequential(*(ResidualBlock(projection) for _ in range(blocks)))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to unit vectors (B, D, H, W)."""
        return F.normalize(self.blocks(self.whitening(features)), dim=1)


class ResidualBlock(nn.Module):
    """1×1 convolution, instance-batch normalisation and ReLU around a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.norm = VectorIBN(channels)
        self.contract = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        nn.init.zeros_(self.contract.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, H, W) to (B, D, H, W)."""
        return x + self.contract(F.relu(self.norm(self.expand(x))))


class VectorIBN(nn.Module):
    """Instance-batch normalisation that treats a single vector and a whole map alike.

    The instance half is normalised over its channels at each cell. Normalising over space, as
    images usually are, would make a concept vector (1 × 1 cells) and the patches of a map pass
    through different networks.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.instance = nn.GroupNorm(1, channels // 2)
        self.batch = nn.BatchNorm2d(channels - channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, H, W) to (B, D, H, W)."""
        instance, batch = x.split([self.instance.num_channels, self.batch.num_features], dim=1)
        B, C, H, W = instance.shape
        cells = instance.permute(0, 2, 3, 1).reshape(B * H * W, C, 1, 1)
        cells = self.instance(cells).view(B, H, W, C).permute(0, 3, 1, 2)
        return torch.cat([cells, self.batch(batch)], dim=1)


class TaskHead(nn.Module):
    """One linear layer on standardised similarity scores.

    Scores sit in a narrow band, so the layer is fitted on (s - mean) / deviation. `folded` gives
    the same layer on plain scores, from which contributions are read. It works in float64:
    contributions have to add up to what is displayed.

    Args:
        concepts: K.
        prototypes: M.
        classes: number of diagnoses.
    """

    score_mean: Tensor
    score_deviation: Tensor

    def __init__(self, concepts: int, prototypes: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, concepts, prototypes))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("score_mean", torch.zeros(concepts, prototypes))
        self.register_buffer("score_deviation", torch.ones(concepts, prototypes))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Fold the standardisation into the layer.

        Returns:
            W (classes, K, M) and b (classes,) in float64, with logits = Σ_km W_ckm s_km + b_c.
        """
        weight = self.weight.double() / self.score_deviation.double()
        return weight, self.bias.double() - torch.einsum(
            "ckm,km->c", weight, self.score_mean.double()
        )

    def forward(self, scores: Tensor) -> Tensor:
        """Map scores (B, K, M) to logits (B, classes)."""
        weight, bias = self.folded()
        return torch.einsum("bkm,ckm->bc", scores.double(), weight) + bias
