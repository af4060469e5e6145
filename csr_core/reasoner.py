"""Encode an image once, then reason about it as often as edits change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from csr_core.answers import AnswerWeights, in_effect, share_in_effect
from csr_core.atlas import Atlas
from csr_core.calibration import Calibration
from csr_core.checkpoint import load_checkpoint
from csr_core.edits import Edit
from csr_core.evidence import EvidenceMap, Profiles, Semantics, apply_evidence, merge_edits
from csr_core.imaging import decode_image, image_hash, to_square
from csr_core.network import CSRNetwork
from csr_core.overlays import concept_maps

__all__ = ["EncodedCase", "Reasoner", "Verdict", "load"]


@dataclass(frozen=True, eq=False)
class EncodedCase:
    """What the network saw in one image; the arrays are read-only.

    Attributes:
        similarity_maps: S, (K, M, H, W) float32, cosines in [-1, 1].
        similarity_scores: s, (K, M) float32, their maxima (Eq. 10).
        pooled: spatial mean of the features f, (C,) float32.
        image_hash: SHA-256 of the decoded pixels, hexadecimal.
        image_size: (height, width) of the image given, in pixels.
        model_hash: of the weights that encoded it.
    """

    similarity_maps: NDArray[np.float32]
    similarity_scores: NDArray[np.float32]
    pooled: NDArray[np.float32]
    image_hash: str
    image_size: tuple[int, int]
    model_hash: str


@dataclass(frozen=True, eq=False)
class Verdict:
    """What follows from a case and its edits; the arrays are read-only.

    `logits == base + contributions.sum(axis=1)`: the ledger is exact.

    Attributes:
        scores: (K, M), similarity scores after the edits.
        logits: (classes,).
        probabilities: (classes,), their softmax.
        contributions: (classes, K), Σ_m W_ckm (s_km - absent_profile_km), and the answers.
        answers: (classes, K), what the reader's answers about whole concepts add by themselves, as
            part of the contributions; 0 where there is no answer, or where it is a mark on every
            patch and no more.
        base: (classes,), the logits were every concept typically absent.
    """

    scores: NDArray[np.float32]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    contributions: NDArray[np.float64]
    answers: NDArray[np.float64]
    base: NDArray[np.float64]


class Reasoner:
    """A trained model, shared by everyone: it holds weights, never a case or a user.

    Args:
        network: trained, moved to the device it shall run on.
        concepts: names of the K concepts.
        classes: names of the diagnoses.
        profiles: typical scores of each prototype, (K, M) each.
        atlas: what each prototype looks like.
        card: title, licence, intended use and limits, for people.
        model_hash: of the weights file, hexadecimal.
        calibration: what is usual for the model, if it was measured.
        answers: what rejecting and confirming a whole concept is worth. Without them such an edit
            suppresses or forces every patch.

    Raises:
        ValueError: if names, profiles or answers don't fit the network.
    """

    def __init__(
        self,
        network: CSRNetwork,
        concepts: tuple[str, ...],
        classes: tuple[str, ...],
        profiles: Profiles,
        atlas: Atlas,
        card: Mapping[str, Any],
        model_hash: str,
        calibration: Calibration | None = None,
        answers: AnswerWeights | None = None,
    ) -> None:
        config = network.config
        if (len(concepts), len(classes)) != (config.concepts, config.classes):
            raise ValueError(
                f"The network has {config.concepts} concepts and {config.classes} classes, "
                f"but {len(concepts)} and {len(classes)} names were given."
            )
        shape = (config.concepts, config.prototypes)
        if profiles.absent.shape != shape or profiles.present.shape != shape:
            raise ValueError(f"Profiles must have shape {shape}, one value a prototype.")
        table = (config.classes, config.concepts)
        if answers is not None and not answers.rejected.shape == answers.confirmed.shape == table:
            raise ValueError(f"Answers must have shape {table}, one weight a class and concept.")
        self.network = network.eval().requires_grad_(False)
        self.concepts = concepts
        self.classes = classes
        self.profiles = profiles
        self.atlas = atlas
        self.card = card
        self.model_hash = model_hash
        self.calibration = calibration
        self.answers = answers
        weight, bias = network.task_head.folded()
        self._weight = _read_only(weight.cpu().numpy())  # (classes, K, M)
        absent = profiles.absent.astype(np.float64)
        self._base = _read_only(bias.cpu().numpy() + np.einsum("ckm,km->c", self._weight, absent))
        self._absent = _read_only(absent)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid, (H, W)."""
        return self.network.config.grid

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8] | Image.Image | str | Path) -> EncodedCase:
        """Run the network on one image.

        Args:
            image: (height, width, 3) uint8 RGB, a PIL image, or the path of a file.

        Returns:
            The case, an immutable value.

        Raises:
            ImageError: if the image can't be used; the message says why.
        """
        pixels = decode_image(image)
        output = self.network(self._input(pixels))
        return EncodedCase(
            similarity_maps=_read_only(output.similarity_maps[0].cpu().numpy()),
            similarity_scores=_read_only(output.similarity_scores[0].cpu().numpy()),
            pooled=_read_only(output.features[0].mean(dim=(1, 2)).cpu().numpy()),
            image_hash=image_hash(pixels),
            image_size=pixels.shape[:2],
            model_hash=self.model_hash,
        )

    @torch.inference_mode()
    def project(self, image: NDArray[np.uint8] | Image.Image | str | Path) -> NDArray[np.float32]:
        """Bring one image into the space where patches and prototypes are compared.

        Args:
            image: as `encode` takes it.

        Returns:
            P(f), a unit vector a patch, (D, H, W).

        Raises:
            ImageError: if the image can't be used; the message says why.
        """
        features = self.network.features(self._input(decode_image(image)))
        return self.network.projector(features)[0].cpu().numpy()

    def merge(self, edits: Iterable[Edit], onto: EvidenceMap | None = None) -> EvidenceMap:
        """Merge edits once, for several answers about them.

        Args:
            edits: in the order they were made; where two meet in a patch, the later one wins.
            onto: the edits made before these, merged already.

        Raises:
            EditError: if an edit names a concept or patch that does not exist.
        """
        return merge_edits(edits, self.concepts, self.grid, onto)

    def weighs_answers(self, semantics: Semantics) -> bool:
        """Whether rejecting and confirming add evidence of their own."""
        return in_effect(self.answers, semantics) is not None

    def share_of_answers(self, semantics: Semantics) -> float:
        """How far rejecting and confirming move the evidence of patches, in [0, 1]."""
        return share_in_effect(self.answers, semantics)

    def on_maps(self, evidence: EvidenceMap, semantics: Semantics) -> EvidenceMap:
        """The part of merged edits that acts on similarity maps, see `share_of_answers`."""
        return evidence if self.share_of_answers(semantics) else evidence.without_answers()

    def reason(
        self,
        case: EncodedCase,
        edits: Iterable[Edit] | EvidenceMap = (),
        semantics: Semantics = "calibrated",
    ) -> Verdict:
        """Reason from similarities to a diagnosis, with the evidence as edited.

        Args:
            case: from `encode` of this model.
            edits: as `merge` takes or as it returns them.
            semantics: "calibrated", or "paper" for Eqs. 12-13 as published.

        Returns:
            The verdict. Without edits it is the plain forward pass, bit for bit.

        Raises:
            EditError: if an edit names a concept or patch that does not exist.
            ValueError: if another model encoded the case.
        """
        evidence = edits if isinstance(edits, EvidenceMap) else self.merge(edits)
        scores = self._edited(case, evidence, semantics)[1]
        contributions = np.einsum("ckm,km->ck", self._weight, scores - self._absent)
        answers = np.zeros_like(contributions)
        weights = in_effect(self.answers, semantics)
        if weights is not None:
            answers = weights.added(evidence.rejected, evidence.confirmed)
        contributions += answers
        logits = self._base + contributions.sum(axis=1)
        return Verdict(
            scores=_read_only(scores),
            logits=_read_only(logits),
            probabilities=_read_only(softmax(logits)),
            contributions=_read_only(contributions),
            answers=_read_only(answers),
            base=self._base,
        )

    def concept_maps(
        self,
        case: EncodedCase,
        edits: Iterable[Edit] | EvidenceMap = (),
        semantics: Semantics = "calibrated",
    ) -> NDArray[np.float32]:
        """One map a concept after the edits, to be painted; arguments as in `reason`.

        Returns:
            (K, H, W) float32: at each patch the similarity of the best prototype.
        """
        return concept_maps(self._edited(case, edits, semantics)[0])

    @staticmethod
    def concept_scores(verdict: Verdict) -> NDArray[np.float32]:
        """One similarity a concept, (K,): the score of its best prototype."""
        return verdict.scores.max(axis=1)

    def _input(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """An image as the network takes it, (1, 3, H₀, W₀)."""
        square = to_square(pixels, self.network.config.image_size)
        tensor = torch.from_numpy(square).to(self.network.prototypes.device)
        return tensor.permute(2, 0, 1)[None].float() / 255

    def _edited(
        self, case: EncodedCase, edits: Iterable[Edit] | EvidenceMap, semantics: Semantics
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if case.model_hash != self.model_hash:
            raise ValueError("This case was encoded by another model; encode the image again.")
        merged = edits if isinstance(edits, EvidenceMap) else self.merge(edits)
        evidence = self.on_maps(merged, semantics)
        touched = evidence.touched
        maps, scores = case.similarity_maps.copy(), case.similarity_scores.copy()
        maps[touched], scores[touched] = apply_evidence(
            case.similarity_maps[touched],
            evidence.marks[touched],
            evidence.focus,
            self.profiles.of(touched),
            semantics,
            self.share_of_answers(semantics),
        )
        return maps, scores


def load(path: str | Path, device: str = "cpu") -> Reasoner:
    """Load a checkpoint folder.

    Args:
        path: of the folder, as `python -m csr_core train` writes it.
        device: torch device the network runs on.

    Raises:
        CheckpointError: naming the file that is missing or wrong, and what was expected.
    """
    checkpoint = load_checkpoint(Path(path), device)
    return Reasoner(
        network=checkpoint.network,
        concepts=checkpoint.concepts,
        classes=checkpoint.classes,
        profiles=checkpoint.profiles,
        atlas=checkpoint.atlas,
        card=checkpoint.card,
        model_hash=checkpoint.model_hash,
        calibration=checkpoint.calibration,
        answers=checkpoint.answers,
    )


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
