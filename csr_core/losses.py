"""Losses of the three training stages."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

__all__ = ["concept_similarities", "masked_concept_loss", "multi_prototype_contrastive_loss"]


def masked_concept_loss(
    logits: Tensor, labels: Tensor, positive_weight: Tensor | None = None
) -> Tensor:
    """Multi-label binary cross-entropy over the labels that are known (stage 1).

    Args:
        logits: (B, K), concept logits.
        labels: (B, K), 1 present, 0 absent, -1 unknown; unknown labels carry no gradient.
        positive_weight: (K,), weight of present labels, against imbalance.

    Returns:
        Mean over the known labels; 0 where none is known.
    """
    known = labels >= 0
    losses = F.binary_cross_entropy_with_logits(
        logits, labels.clamp(min=0).to(logits.dtype), reduction="none", pos_weight=positive_weight
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def concept_similarities(vectors: Tensor, prototypes: Tensor, gamma: float) -> Tensor:
    """Soft-assigned similarity of vectors with the prototypes of every concept (Eqs. 6-7).

    Args:
        vectors: v', (N, D), unit length.
        prototypes: (K, M, D), of any length.
        gamma: sharpness γ of the assignment q = softmax_m(γ ⟨p_km, v'⟩); 1000 is an argmax.

    Returns:
        sim_k = Σ_m q_m ⟨p_km, v'⟩, (N, K), in [-1, 1].
    """
    cosines = torch.einsum("nd,kmd->nkm", vectors, F.normalize(prototypes, dim=-1))
    return ((gamma * cosines).softmax(dim=-1) * cosines).sum(dim=-1)


def multi_prototype_contrastive_loss(
    vectors: Tensor,
    concepts: Tensor,
    prototypes: Tensor,
    *,
    gamma: float = 1000.0,
    lam: float = 20.0,
    delta: float = 0.1,
    concept_weight: Tensor | None = None,
) -> Tensor:
    """Pull each concept vector to a prototype of its own concept (Eqs. 8-9).

    -log of exp(λ(sim_k̃ + δ)) / (exp(λ(sim_k̃ + δ)) + Σ_{k≠k̃} exp(λ sim_k)), k̃ the true concept.

    Args:
        vectors: v', (N, D), unit length.
        concepts: k̃, (N,), index of the concept each vector was pooled for.
        prototypes: (K, M, D).
        gamma: γ, sharpness of the assignment to prototypes.
        lam: λ, sharpness of the contrast between concepts.
        delta: δ, margin as in the supplementary material.
        concept_weight: (K,), weight of each concept, against imbalance.

    Returns:
        The (weighted) mean over vectors.
    """
    similarities = concept_similarities(vectors, prototypes, gamma)  # (N, K)
    margins = delta * F.one_hot(concepts, similarities.shape[1])
    return F.cross_entropy(lam * (similarities + margins), concepts, weight=concept_weight)
