"""From marks to model: train on what was annotated, and say when that is worth it."""

import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from csr_core.annotation.database import without_password
from csr_core.annotation.exports import export
from csr_core.annotation.exports.gathering import Gathered, gathered
from csr_core.annotation.records import Annotation, Vocabulary
from csr_core.annotation.resolving import presence_of
from csr_core.annotation.store import Project, Store
from csr_core.checkpoint import load_checkpoint, read_part
from csr_core.datasets import load_dataset
from csr_core.files import read_json
from csr_core.training.tuning import LabelCounts, fine_tune

__all__ = [
    "Learnt",
    "Tally",
    "TrainingStatus",
    "tally",
    "train_from_store",
    "training_status",
]

FEWEST_NEW = 10
"""Cases finished or changed since a model was trained from which training again is worth it..."""
NEW_SHARE = 0.1
"""...or this share of those it was trained on, if that is more."""
MAX_JSON_BYTES = 1_000_000


@dataclass(frozen=True)
class Tally:
    """What is annotated in a project; only cases that are done count.

    Attributes:
        cases: number of them.
        marks: what was said in them: concepts judged present or absent, regions and diagnoses.
        regions: of these, concepts with a place marked.
        new_cases: cases finished, or changed, since a given time.
        new_marks: marks in those.
        latest: when one of them was last changed; None if there is none.
        labels: how many of split train show what.
    """

    cases: int
    marks: int
    regions: int
    new_cases: int
    new_marks: int
    latest: datetime | None
    labels: LabelCounts


@dataclass(frozen=True)
class Learnt:
    """What a checkpoint was tuned on.

    Attributes:
        project: name of the project.
        cases: that were done.
        marks: in them.
        regions: of these, concepts with a place marked.
        until: the latest change it knows, UTC.
    """

    project: str
    cases: int
    marks: int
    regions: int
    until: datetime

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return vars(self) | {"until": self.until.isoformat()}

    @classmethod
    def from_json(cls, value: object) -> "Learnt | None":
        """Read what `to_json` gave; None if it is anything else."""
        match value:
            case {"project": str(name), "cases": int(cases), "marks": int(marks),
                  "regions": int(regions), "until": str(until)}:  # fmt: skip
                try:
                    known = datetime.fromisoformat(until)
                except ValueError:
                    return None
                return cls(name, cases, marks, regions, known) if known.tzinfo else None
        return None


@dataclass(frozen=True)
class TrainingStatus:
    """Whether training on a project is worth it now, for the screen.

    Attributes:
        cases: that are done.
        marks: in them.
        new_cases: done or changed since the model was trained; all if it never saw the project.
        new_marks: marks in those.
        missing: what is too rare to learn from, in a sentence; None if there is enough.
        worthwhile: whether there is enough, and enough of it new.
        rule: what "enough" means, in a sentence.
        command: what trains the next model from this one.
        changed: what training changed in this model, in a sentence; None if it wasn't tuned.
        before: figures of this model's parent on images kept back: macro_f1, concept_precision and
            pointing_game, None where unknown; None if it wasn't tuned.
        after: likewise of this model, on the same images.
    """

    cases: int
    marks: int
    new_cases: int
    new_marks: int
    missing: str | None
    worthwhile: bool
    rule: str
    command: str
    changed: str | None
    before: Mapping[str, float | None] | None
    after: Mapping[str, float | None] | None


def train_from_store(
    store: Store,
    project: str,
    parent: Path,
    out: Path,
    *,
    stage1: bool = False,
    reader: str | None = None,
    seed: int = 0,
) -> Path:
    """Tune a checkpoint on what was annotated in a project.

    Args:
        store: with the annotations; of several readers of a case count those adjudicated, or else
            their majority, see `csr_core.annotation.resolving.resolved`.
        project: name of the project.
        parent: checkpoint folder to start from.
        out: checkpoint folder to write. It tells under "learnt_from" in its card what it was
            trained on, and under "tuned" in its metrics what that changed.
        stage1: whether backbone and concept head are trained too.
        reader: whose annotations count where none was adjudicated.
        seed: the same seed and annotations give the same model.

    Returns:
        The checkpoint folder.

    Raises:
        ValueError: in one sentence, if there are too few marks, or something doesn't fit; among
            these StoreError, CheckpointError and ExportError.
        OSError: if a file can't be read or written.
    """
    told = store.project(project)
    checkpoint = load_checkpoint(parent)
    found = tally(gathered(store.annotations(told.name, done=True), reader), told.vocabulary)
    if found.labels.missing is not None:
        raise ValueError(found.labels.missing)
    assert found.latest is not None
    learnt = Learnt(told.name, found.cases, found.marks, found.regions, found.latest)
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the checkpoint, so that images can be linked rather than copied.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.data-", dir=out.parent) as temporary:
        data = Path(temporary) / "data"
        export(told, store.annotations(told.name, done=True), data, "folder", reader)
        return fine_tune(
            checkpoint,
            load_dataset(data, for_training=False),
            out,
            stage1=stage1,
            seed=seed,
            title=f"{checkpoint.card.get('title', parent.name)}, tuned on {told.name}",
            card={
                "synthetic": bool(checkpoint.card.get("synthetic")) and _synthetic(told),
                "learnt_from": learnt.to_json(),
            },
        )


def training_status(
    store: Store, address: str, project: str, checkpoint: Path, reader: str | None = None
) -> TrainingStatus:
    """Say whether training on a project is worth it, and what it changed last time.

    All annotations that are done are read for that, one case after the other.

    Args:
        store: with the annotations.
        address: of the store, for the command.
        project: name of the project.
        checkpoint: folder of the model in use.
        reader: whose annotations count, as in `train_from_store`.

    Raises:
        StoreError: if there is no such project.
        CheckpointError: if the checkpoint can't be read.
    """
    told = store.project(project)
    card = read_part(checkpoint, "config.json").get("card")
    learnt = Learnt.from_json(card.get("learnt_from")) if isinstance(card, dict) else None
    if learnt is not None and learnt.project != told.name:
        learnt = None
    annotated = gathered(store.annotations(told.name, done=True), reader)
    found = tally(annotated, told.vocabulary, learnt.until if learnt else None)
    fewest = max(FEWEST_NEW, round(NEW_SHARE * learnt.cases) if learnt else 0)
    missing = found.labels.missing
    tuned = _tuned(checkpoint) if learnt else None
    return TrainingStatus(
        cases=found.cases,
        marks=found.marks,
        new_cases=found.new_cases,
        new_marks=found.new_marks,
        missing=missing,
        worthwhile=missing is None and found.new_cases >= fewest,
        rule=f"Training is worth it with {fewest} cases finished or changed since the last time.",
        command=_command(address, told.name, checkpoint),
        changed=_sentence(tuned) if tuned else None,
        before=tuned["before"] if tuned else None,
        after=tuned["after"] if tuned else None,
    )


def tally(
    annotated: Iterable[Gathered], vocabulary: Vocabulary, since: datetime | None = None
) -> Tally:
    """Count what is annotated.

    Args:
        annotated: the cases, with what their readers come to.
        vocabulary: of the project.
        since: what came later is new; everything if None.
    """
    cases = marks = regions = new_cases = new_marks = 0
    latest: datetime | None = None
    present, absent, diagnosed = Counter[str](), Counter[str](), Counter[str]()
    for each in annotated:
        if each.annotation is None:
            continue
        said, places = _marks_in(each.annotation)
        at = max(read.at for read in each.reads).astimezone(UTC)
        latest = at if latest is None else max(at, latest)
        cases, marks, regions = cases + 1, marks + said + places, regions + places
        if since is None or at > since:
            new_cases, new_marks = new_cases + 1, new_marks + said + places
        if each.case.split == "train":
            for concept, mark in each.annotation.concepts.items():
                present[concept] += presence_of(mark) == "yes"
                absent[concept] += presence_of(mark) == "no"
            if each.annotation.diagnosis is not None:
                diagnosed[each.annotation.diagnosis] += 1
    labels = LabelCounts(
        present={concept: present[concept] for concept in vocabulary.concepts},
        absent={concept: absent[concept] for concept in vocabulary.concepts},
        diagnosed={name: diagnosed[name] for name in vocabulary.classes},
    )
    return Tally(cases, marks, regions, new_cases, new_marks, latest, labels)


def _marks_in(annotation: Annotation) -> tuple[int, int]:
    """Judgements of concepts and diagnosis, and places marked."""
    marks = annotation.concepts.values()
    judged = sum(presence_of(mark) in ("yes", "no") for mark in marks)
    places = sum(mark.mask is not None or bool(mark.boxes) for mark in marks)
    return judged + (annotation.diagnosis is not None), places


def _tuned(checkpoint: Path) -> dict[str, Any] | None:
    """What the checkpoint's metrics tell of its tuning, if they do."""
    match read_part(checkpoint, "metrics.json").get("tuned"):
        case {"images": int(), "before": dict(), "after": dict()} as tuned:
            return tuned
    return None


def _sentence(tuned: Mapping[str, Any]) -> str:
    names = {
        "macro_f1": "macro-F1 of the diagnosis",
        "concept_precision": "average precision of the concepts",
        "pointing_game": "pointing game",
    }
    changes = [
        f"{name} {before:.3f} → {after:.3f}"
        for key, name in names.items()
        if isinstance(before := tuned["before"].get(key), float)
        and isinstance(after := tuned["after"].get(key), float)
    ]
    seen = " (which the model before may have been trained on)"
    return (
        f"On {tuned['images']} images kept back"
        f"{seen if tuned.get('parent_may_have_seen_them') else ''}: "
        f"{', '.join(changes) or 'nothing that both models tell'}."
    )


def _command(address: str, project: str, checkpoint: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", project).strip("-").lower() or "tuned"
    folders = (checkpoint.with_name(f"{stem}-{number}") for number in range(1, 10_000))
    out = next(folder for folder in folders if not folder.exists())
    options = {
        "--store": without_password(address),
        "--project": project,
        "--checkpoint": checkpoint,
        "--out": out,
    }
    words = [str(word) for option in options.items() for word in option]
    return shlex.join(["python", "-m", "csr_core", "train", *words])


def _synthetic(project: Project) -> bool:
    path = project.folder / "dataset.json"
    if not path.is_file():
        return False
    description = read_json(path, MAX_JSON_BYTES)
    return isinstance(description, dict) and description.get("synthetic") is True
