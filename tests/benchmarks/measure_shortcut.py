"""Measure what a shortcut costs, and how much of that edits and discarded prototypes bring back.

    python tests/benchmarks/measure_shortcut.py --work DIR [--shortcut ARTEFACT:CLASS:RATE:RATE]
                                                [--preset NAME] [--epochs N]
                                                [--count N] [--tests N] [--seed N]

A phantom is trained on whose artefact is tied to a diagnosis. Two test sets show the same lesions:
in one the artefact is tied as in training, in the other it lies on half of all images, whatever
they show. The loss is the macro-F1 on the first less that on the second. On the second a reader who
knows where things are ignores the patches of the artefact, focuses on the lesion, forces concepts
where they are, or rejects and confirms whole concepts, and the prototypes that stand for the
artefact are discarded and the task head is refitted.

Data and models are kept in DIR, so that a stopped run can be started again.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import csr_core  # noqa: E402
from csr_core.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from csr_core.datasets import Dataset, load_dataset, load_image  # noqa: E402
from csr_core.datasets.phantom import Shortcut, parse_shortcut, write_phantom  # noqa: E402
from csr_core.edits import Confirm, Edit, Reject  # noqa: E402
from csr_core.evidence import Semantics  # noqa: E402
from csr_core.intervals import bootstrap, f1_from_sums, f1_terms  # noqa: E402
from csr_core.interventions import ScoredImages  # noqa: E402
from csr_core.reasoner import EncodedCase, Reasoner  # noqa: E402
from csr_core.spatial_review import (  # noqa: E402
    KnownRegions,
    Mark,
    grown_cells,
    known_regions,
    review_spatially,
    spatial_edits,
)
from csr_core.training import PRESETS, Recipe, discard_prototypes, train  # noqa: E402
from csr_core.training.roles import assign_roles  # noqa: E402

NEAREST = 25  # training patches that say what a prototype stands for
UNTIED_RATE = 0.5
PROTOTYPE_EPOCHS = 3  # more of them were never kept on phantoms
TEST_SEEDS = 1_000_000  # added to the seed of the training images


@dataclass(frozen=True)
class Arm:
    """What is done about the shortcut.

    Attributes:
        marks: of the reader.
        answers: whether the reader also rejects and confirms every concept.
        reach: patches round the artefact that the reader ignores as well.
        refined: whether the prototypes of the artefact are discarded.
        semantics: how the marks are read.
    """

    marks: tuple[Mark, ...] = ()
    answers: bool = False
    reach: int = 0
    refined: bool = False
    semantics: Semantics = "calibrated"


ARMS: Mapping[str, Arm] = {
    "as it is": Arm(),
    "ignore artefact": Arm(("ignore",)),
    "ignore, 1 around": Arm(("ignore",), reach=1),
    "ignore, 2 around": Arm(("ignore",), reach=2),
    "focus on lesion": Arm(("focus",)),
    "both, 2 around": Arm(("focus", "ignore"), reach=2),
    "force": Arm(("force",)),
    "ignore 2 around, force": Arm(("ignore", "force"), reach=2),
    "ignore 2, force and focus": Arm(("focus", "ignore", "force"), reach=2),
    "answers": Arm(answers=True),
    "paper: answers": Arm(answers=True, semantics="paper"),
    "paper: ignore 2 around": Arm(("ignore",), reach=2, semantics="paper"),
    "paper: ignore 2 around, force": Arm(("ignore", "force"), reach=2, semantics="paper"),
    "discard": Arm(refined=True),
    "discard and focus": Arm(("focus",), refined=True),
    "discard, ignore 2 around": Arm(("ignore",), reach=2, refined=True),
    "discard, ignore 2, force": Arm(("ignore", "force"), reach=2, refined=True),
}


@dataclass(frozen=True)
class Place:
    """Where the parts of a measurement are kept."""

    work: Path

    @property
    def training(self) -> Path:
        return self.work / "train"

    def test(self, kind: str) -> Path:
        return self.work / kind

    @property
    def model(self) -> Path:
        return self.work / "model"

    @property
    def refined(self) -> Path:
        return self.work / "refined"


def artefact_prototypes(
    scores: NDArray[np.float32], on_artefact: NDArray[np.bool_], nearest: int = NEAREST
) -> NDArray[np.bool_]:
    """Which prototypes stand for the artefact.

    Args:
        scores: (N, K, M), of the training images.
        on_artefact: (N, K, M), whether the patch of each score lies on the artefact.
        nearest: number of training images looked at for each prototype, those it scores highest.

    Returns:
        (K, M): the nearest patch, or most of the nearest ones, lie on the artefact.
    """
    order = np.argsort(-scores, axis=0, kind="stable")[:nearest]
    near = np.take_along_axis(on_artefact, order, axis=0)  # (nearest, K, M)
    return near[0] | (near.mean(axis=0) > 0.5)


def training_scores(
    reasoner: Reasoner, dataset: Dataset, artefact: str
) -> tuple[ScoredImages, NDArray[np.bool_]]:
    """Scores of every image, and whether the patch of each lies on the artefact, (N, K, M)."""
    scores, places = [], []
    for row in range(len(dataset)):
        case = reasoner.encode(load_image(dataset, row))
        seen = np.zeros(reasoner.grid, bool)
        for cell in known_regions(dataset, row, reasoner.grid, [artefact]).artefact:
            seen[cell] = True
        best = case.similarity_maps.reshape(*case.similarity_scores.shape, -1).argmax(axis=-1)
        scores.append(case.similarity_scores)
        places.append(seen.ravel()[best])
    images = ScoredImages(np.stack(scores), dataset.concept_labels, dataset.diagnoses)
    return images, np.stack(places)


def diagnoses_of(
    models: Sequence[Reasoner], dataset: Dataset, artefact: str
) -> dict[str, NDArray[np.int64]]:
    """Diagnoses (N,) of every image by what is done about the shortcut; models are as trained
    and refined.
    """
    plain, _ = models
    cases = [plain.encode(load_image(dataset, row)) for row in range(len(dataset))]
    regions = [known_regions(dataset, row, plain.grid, [artefact]) for row in range(len(dataset))]
    return {
        name: diagnoses_after(models[arm.refined], cases, regions, arm, dataset)
        for name, arm in ARMS.items()
    }


def diagnoses_after(
    reasoner: Reasoner,
    cases: Sequence[EncodedCase],
    regions: Sequence[KnownRegions],
    arm: Arm,
    dataset: Dataset,
) -> NDArray[np.int64]:
    """Diagnoses (N,) of the images of a data set after a reader's edits."""
    grid = reasoner.grid

    def edits(row: int) -> tuple[Edit, ...]:
        answers = answers_of(dataset, row) if arm.answers else ()
        return answers + spatial_edits(known[row], arm.marks, grid)

    known = [
        replace(region, artefact=grown_cells(region.artefact, grid, arm.reach))
        for region in regions
    ]
    # Discarding leaves the similarity maps as they were: both models encode alike.
    own = (replace(case, model_hash=reasoner.model_hash) for case in cases)
    revision = review_spatially(
        reasoner,
        enumerate(own),
        edits,
        dataset.diagnoses,
        arm.semantics,
    )
    return revision.after


def answers_of(dataset: Dataset, row: int) -> tuple[Edit, ...]:
    """Every concept of an image rejected or confirmed, as its label says."""
    labels = zip(dataset.concepts, dataset.concept_labels[row], strict=True)
    return tuple((Reject, Confirm)[label](concept) for concept, label in labels if label >= 0)


def prepare(
    place: Place, shortcut: Shortcut, recipe: Recipe, count: int, tests: int, seed: int
) -> None:
    """Render the phantoms and train the model, unless that was done."""
    untied = replace(shortcut, rate_in_class=UNTIED_RATE, rate_elsewhere=UNTIED_RATE)
    if not place.training.exists():
        write_phantom(
            place.training, count, seed, val_fraction=0, test_fraction=0, shortcut=shortcut
        )
    for kind, tie in (("tied", shortcut), ("untied", untied)):
        if not place.test(kind).exists():
            write_phantom(
                place.test(kind), tests, seed + TEST_SEEDS,
                val_fraction=0, test_fraction=1, shortcut=tie,
            )  # fmt: skip
    if not place.model.exists():
        train(load_dataset(place.training), place.model, recipe, seed=seed)


def refine(place: Place, artefact: str, recipe: Recipe, seed: int) -> NDArray[np.bool_]:
    """Discard the prototypes of the artefact; return which these are, (K, M)."""
    dataset = load_dataset(place.training)
    roles = assign_roles(dataset, 0.0, recipe.validation, seed)
    images, on_artefact = training_scores(csr_core.load(place.model), dataset, artefact)
    discarded = artefact_prototypes(images.scores[roles.fit], on_artefact[roles.fit])
    refined = discard_prototypes(
        load_checkpoint(place.model), discarded, images, roles.fit, roles.validation,
        copies=recipe.concept_dropout, seed=seed,
    )  # fmt: skip
    save_checkpoint(refined, place.refined)
    return discarded


def main() -> None:
    """Render, train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and models")
    parser.add_argument("--shortcut", default="patches:melanoma:1:0")
    parser.add_argument("--count", type=int, default=600, help="training images")
    parser.add_argument("--tests", type=int, default=400, help="images of each test set")
    parser.add_argument("--preset", choices=PRESETS, default="dermoscopy")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    shortcut, seed = parse_shortcut(arguments.shortcut), arguments.seed
    recipe = replace(
        PRESETS[arguments.preset], epochs=arguments.epochs, prototype_epochs=PROTOTYPE_EPOCHS
    )
    place = Place(arguments.work)
    prepare(place, shortcut, recipe, arguments.count, arguments.tests, seed)
    discarded = refine(place, shortcut.artefact, recipe, seed)
    models = [csr_core.load(folder) for folder in (place.model, place.refined)]
    tests = {
        kind: load_dataset(place.test(kind), for_training=False) for kind in ("tied", "untied")
    }
    found = {kind: diagnoses_of(models, test, shortcut.artefact) for kind, test in tests.items()}
    truth = tests["tied"].diagnoses
    figures = compare(truth, found["tied"], found["untied"], len(tests["tied"].classes))
    report(shortcut, discarded, figures)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    settings = {key: str(value) for key, value in vars(arguments).items() if key != "work"}
    result = {"settings": settings, "discarded": int(discarded.sum()), "figures": figures}
    (place.work / "figures.json").write_text(json.dumps(result, indent=2) + "\n")


def compare(
    truth: NDArray[np.int64],
    tied: Mapping[str, NDArray[np.int64]],
    untied: Mapping[str, NDArray[np.int64]],
    classes: int,
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """What each arm is worth.

    Args:
        truth: (N,) true classes; image i shows the same lesion in both sets.
        tied: diagnoses (N,) by arm where the artefact is tied to a class.
        untied: likewise where it is not.
        classes: number of classes.

    Returns:
        By arm the macro-F1 where the artefact is "tied" and "untied", the "loss" of one against
        the other as it is, and "regained", the share of that loss which comes back; each as
        (value, lower, upper) with a 95 % interval of a bootstrap over lesions.
    """
    terms = np.stack(
        [[f1_terms(truth, said[arm], classes) for arm in ARMS] for said in (tied, untied)]
    )  # (2, arms, N, 2, classes)

    def values_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        tied, untied = np.moveaxis(f1_from_sums(sums).mean(axis=-1), -2, 0)  # (..., arms) each
        start = untied[..., :1]
        loss = tied[..., :1] - start
        share = np.divide(untied - start, loss, out=np.full_like(untied, np.nan), where=loss != 0)
        columns = [tied, untied, np.broadcast_to(loss, tied.shape), share]
        return np.stack(columns, axis=-1)  # (..., arms, 4)

    terms = np.moveaxis(terms, 2, 0)  # (N, 2, arms, 2, classes)
    table = np.stack([values_of(terms.sum(axis=0).astype(float)), *bootstrap(terms, values_of)])
    names = ("tied", "untied", "loss", "regained")
    return {
        arm: {name: tuple(table[:, row, column].tolist()) for column, name in enumerate(names)}
        for row, arm in enumerate(ARMS)
    }


def report(
    shortcut: Shortcut,
    discarded: NDArray[np.bool_],
    figures: Mapping[str, Mapping[str, tuple[float, float, float]]],
) -> None:
    """Print the table."""
    print(
        f"{shortcut.artefact} on {shortcut.rate_in_class:.0%} of {shortcut.diagnosis}, "
        f"{shortcut.rate_elsewhere:.0%} of others; untied: on {UNTIED_RATE:.0%} of all. "
        f"{discarded.sum()} of {discarded.size} prototypes discarded."
    )
    print(f"{'macro-F1':30}{'tied':>24}{'untied':>24}{'share of the loss':>24}")
    for arm, values in figures.items():
        cells = [
            "{:.3f} [{:.3f}, {:.3f}]".format(*values[name])
            for name in ("tied", "untied", "regained")
        ]
        print(f"{arm:30}" + "".join(f"{cell:>24}" for cell in cells))
    print("loss {:.3f} [{:.3f}, {:.3f}]".format(*figures["as it is"]["loss"]))


if __name__ == "__main__":
    main()
