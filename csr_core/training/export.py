"""From a fitted model to a checkpoint: profiles, calibration, atlas, pictures and card."""

from pathlib import Path

import numpy as np
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from tqdm import tqdm

from csr_core.advice import presence
from csr_core.atlas import Atlas, AtlasEntry, prototype_hits, reliance_of_prototypes
from csr_core.calibration import Calibration, fit_calibration
from csr_core.card import model_card
from csr_core.checkpoint import Checkpoint
from csr_core.datasets import Dataset, load_image
from csr_core.familiarity import fewest_images
from csr_core.files import read_json
from csr_core.overlays import exemplar_crop
from csr_core.presence import fit_presence
from csr_core.training.features import present_vectors, score_images
from csr_core.training.pipeline import TrainedModel
from csr_core.training.prototypes import project_vectors
from csr_core.training.roles import Roles

__all__ = ["build_checkpoint"]


def build_checkpoint(
    dataset: Dataset,
    roles: Roles,
    model: TrainedModel,
    metrics: dict,
    title: str,
    pictures: bool,
) -> tuple[Checkpoint, dict[str, bytes]]:
    """Gather a trained model into a checkpoint, with atlas, profiles, calibration and card.

    Args:
        dataset: it was trained on.
        roles: of its rows.
        model: from `fit_model`.
        metrics: figures to ship with it.
        title: of the card.
        pictures: whether exemplar crops of the training images may be shipped.

    Returns:
        The checkpoint and its exemplar pictures as JPEG by file name.
    """
    weight, bias = (tensor.numpy() for tensor in model.network.task_head.folded())
    reliance = reliance_of_prototypes(
        model.scores[roles.validation], model.profiles.absent, weight, bias
    )
    rows, cells, similarity = _exemplars(model, dataset, roles.fit)
    vectors, concepts = present_vectors(model.features, dataset, roles.fit)
    prototypes = F.normalize(model.network.prototypes.detach(), dim=-1).numpy()
    hits = prototype_hits(project_vectors(model.network, vectors), concepts, prototypes)
    side = model.network.config.grid[0]
    crops: dict[str, bytes] = {}
    entries: list[list[AtlasEntry]] = []
    for concept in range(len(dataset.concepts)):
        entries.append([])
        for prototype in range(hits.shape[1]):
            row = int(rows[concept, prototype])
            cell = divmod(int(cells[concept, prototype]), side)
            picture = None
            if pictures and hits[concept, prototype]:
                picture = Path(f"{concept:03d}_{prototype:03d}.jpg")
                crops[picture.name] = exemplar_crop(load_image(dataset, row), cell, side)
            entries[-1].append(
                AtlasEntry(
                    concept=concept,
                    prototype=prototype,
                    image_id=dataset.image_ids[row],
                    row=cell[0],
                    column=cell[1],
                    similarity=float(similarity[concept, prototype]),
                    hits=int(hits[concept, prototype]),
                    reliance=float(reliance[concept, prototype]),
                    picture=picture,
                )
            )
    card = {
        "title": title,
        "data": dataset.name,
        "training_images": len(dataset.rows_of("train")),
        "licence": dataset.licence,
        "source": dataset.source,
        "synthetic": bool(_description(dataset).get("synthetic", False)),
        "intended_use": "Research and teaching only; not a medical device.",
    }
    checkpoint = Checkpoint(
        network=model.network,
        concepts=dataset.concepts,
        classes=dataset.classes,
        profiles=model.profiles,
        atlas=Atlas(entries),
        card=card,
        metrics=metrics,
        readme=model_card(card, dataset.concepts, dataset.classes, metrics),
        calibration=_calibrate(dataset, roles, model),
        baselines=model.baselines,
        answers=model.answers,
    )
    return checkpoint, crops


def _calibrate(dataset: Dataset, roles: Roles, model: TrainedModel) -> Calibration | None:
    """Measure what is usual, on rows kept from everything if there are enough of them."""
    least = fewest_images()
    if len(roles.held) >= least:
        rows, kind = roles.held, "kept from all fitting and selection"
    else:
        rows, kind = roles.validation, "never fitted to, but selected on"
    if len(rows) < least:
        tqdm.write(
            f"What is usual for the model was not measured: that takes {least} images it was not "
            f"fitted to, and there are {len(rows)}."
        )
        return None
    measured_on = f"{len(rows)} images of split {dataset.splits[rows[0]]}, {kind}"
    scale = fit_presence(presence(model.scores[rows], model.profiles), dataset.concept_labels[rows])
    return fit_calibration(model.scores[rows], model.features.pooled[rows], measured_on, scale)


def _exemplars(
    model: TrainedModel, dataset: Dataset, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Image row, flat patch index and cosine of the nearest training patch, (K, M) each (Eq. 11).

    Only images in which the concept is present can stand for it.
    """
    scores, patches = score_images(model.network, model.features)
    present = dataset.concept_labels[rows] == 1  # (n, K)
    own = np.where(present[:, :, None], scores[rows], -np.inf)
    best = own.argmax(axis=0)  # (K, M)
    K, M = best.shape
    index = np.ogrid[:K, :M]
    return rows[best], patches[rows[best], *index], own[best, *index]


def _description(dataset: Dataset) -> dict:
    return read_json(dataset.root / "dataset.json", 1_000_000)
