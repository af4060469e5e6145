"""What the review screen asks for, as functions from plain values to plain values.

Everything that arrives here is untrusted, and everything that leaves is ready for JSON. Refusals
are exceptions whose message is one sentence for the person at the screen (`REFUSALS`).
"""

import base64
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csr_core.cases import CaseExpired, CaseStore, OpenCase
from csr_core.datasets.problems import is_safe_id
from csr_core.edits import Edit, EditError, edit_to_json, edits_from_json
from csr_core.evidence import answered
from csr_core.files import read_json
from csr_core.imaging import ImageError, decode_image
from csr_core.kept_picture import kept
from csr_core.models import Models
from csr_core.overlays import exemplar_crop
from csr_core.session_file import SessionError, from_json
from csr_core.wire import (
    PICTURE_SIDE,
    RequestError,
    data_url,
    index_field,
    jpeg_url,
    packed,
    semantics_field,
    text_field,
)

if TYPE_CHECKING:
    from csr_core.atlas import AtlasEntry
    from csr_core.reasoner import EncodedCase, Reasoner, Verdict

__all__ = ["REFUSALS", "ReviewService"]

THUMBNAIL_SIDE = 220
MAX_JSON_BYTES = 16_000_000


REFUSALS = (RequestError, ImageError, EditError, SessionError, CaseExpired)


class ReviewService:
    """Opens cases and reasons about them.

    Args:
        models: to choose from.
        gallery: folder of the bundled cases, with its list `cases.json`.
        store: of open cases.
        data: data folder whose pictures the atlas may show for checkpoints that ship none.
    """

    def __init__(
        self, models: Models, gallery: Path, store: CaseStore, data: Path | None = None
    ) -> None:
        self._models = models
        self._store = store
        self._data = data
        # A photograph may take half a gigabyte while it is read, and the allocator keeps what a
        # thread frees for that thread: one thread for all of them bounds both.
        self._pictures = ThreadPoolExecutor(1, "pictures")
        records = read_json(gallery / "cases.json", MAX_JSON_BYTES)
        self._gallery = {
            Path(record["file"]).stem: (gallery / record["file"], str(record["title"]))
            for record in records
        }
        self._thumbnail = cache(lambda path: data_url(decode_image(path), THUMBNAIL_SIDE))

    def start(self) -> dict[str, Any]:
        """List the models and the bundled cases, with thumbnails."""
        return {
            "models": [self._models.summary(name) for name in self._models.names],
            "cases": [
                {"name": name, "title": title, "thumbnail": self._thumbnail(path)}
                for name, (path, title) in self._gallery.items()
            ],
        }

    def warm_up(self) -> None:
        """Load the first model and encode a bundled case, so that the first visitor need not wait.

        The first forward pass of a process is several times slower than all that follow.
        """
        path, _ = next(iter(self._gallery.values()))
        self._models.get(self._models.names[0]).encode(decode_image(path))

    def open_bundled(self, model: object, name: object) -> dict[str, Any]:
        """Open a bundled case; see `open_image` for the answer.

        Raises:
            RequestError: if there is no such case or model.
        """
        if not isinstance(name, str) or name not in self._gallery:
            raise RequestError("There is no bundled case of that name.")
        path, title = self._gallery[name]
        return self.open_image(model, path, title)

    def open_image(self, model: object, source: bytes | Path, title: str) -> dict[str, Any]:
        """Encode an image and keep the case open.

        Args:
            model: name of a checkpoint.
            source: bytes or path of an image file.
            title: for people, also in refusals.

        Returns:
            The key of the case, what the model looks for, the picture,
            the maps to paint (base64, float32, K·H·W), for every patch which living
            prototype of each concept it resembles most (uint16) and how much (float32, -inf if
            none lives), the verdict without edits, and what a browser needs to reason by itself:
            the similarity maps (float32, K·M·H·W), the head (float64, classes·K·M), the absent
            and present profiles (float32, K·M each) and what answers about whole concepts are worth
            (`rejected` and `confirmed`, float64, classes·K each, and `share`), or null.

        Raises:
            ImageError: if the image can't be used.
            RequestError: if there is no such model.
        """
        name = text_field(model, "model")
        reasoner = self._models.get(name)
        encoded, picture, shown = self._pictures.submit(_read, reasoner, source, title).result()
        maps = np.asarray(reasoner.concept_maps(encoded), dtype=np.float32)  # (K, H, W)
        alive = reasoner.atlas.alive[:, :, None, None]  # (K, M, 1, 1)
        living = np.where(alive, encoded.similarity_maps, -np.inf)  # (K, M, H, W)
        return {
            "key": self._store.put(OpenCase(name, encoded, maps, picture)),
            "model": self._models.summary(name),
            "title": title,
            "concepts": list(reasoner.concepts),
            "classes": list(reasoner.classes),
            "grid": list(reasoner.grid),
            "picture": shown,
            "maps": packed(maps),
            "likeness": packed(living.max(axis=1).astype("<f4")),
            "resembles": packed(living.argmax(axis=1).astype("<u2")),
            "prototypes": encoded.similarity_maps.shape[1],
            "verdict": _verdict(reasoner, reasoner.reason(encoded)),
            "similarity": packed(encoded.similarity_maps),
            **_reasoning(reasoner),
        }

    def open_upload(self, model: object, data: bytes, title: str) -> dict[str, Any]:
        """Open an uploaded image; see `open_image`.

        Returns:
            What `open_image` answers, and the file to go on with instead of the uploaded one as
            `image` (base64): the pixels without metadata.

        Raises:
            ImageError, RequestError: as `open_image`.
        """
        opened = self.open_image(model, data, title)
        picture = self._store.get(opened["key"]).picture
        return {**opened, "image": base64.b64encode(picture).decode("ascii")}

    def reason(
        self, key: object, edits: object, semantics: object = "calibrated"
    ) -> dict[str, Any]:
        """Reason about an open case under a list of edits.

        Returns:
            The verdict; in it how much of each contribution is what answers about whole concepts
            changed, where the model weighs them. The maps that differ from those of the unedited
            case, by concept index (base64, float32, H·W).

        Raises:
            CaseExpired: if the case is not open.
            EditError: if an edit is malformed or does not fit the case.
            RequestError: if a field is malformed.
        """
        reasoner, case, checked, meaning = self._asked(key, edits, semantics)
        evidence = reasoner.merge(checked)
        verdict = reasoner.reason(case.encoded, evidence, meaning)
        answers = verdict.answers
        if reasoner.weighs_answers(meaning) and answered(evidence.marks).any():
            unanswered = reasoner.reason(case.encoded, evidence.without_answers(), meaning)
            answers = verdict.contributions - unanswered.contributions
        maps = reasoner.concept_maps(case.encoded, evidence, meaning)  # (K, H, W)
        changed = np.flatnonzero((maps != case.concept_maps).any(axis=(1, 2)))
        return {
            "verdict": {**_verdict(reasoner, verdict), "answers": answers.tolist()},
            "maps": {str(concept): packed(maps[concept]) for concept in changed},
        }

    def change_answer(self, key: object, edits: object, semantics: object) -> dict[str, Any]:
        """Find the smallest change of the diagnosis; see `csr_core.counsel.suggest_flip`.

        Raises:
            CaseExpired, EditError, RequestError: as `reason`.
        """
        from csr_core.counsel import suggest_flip  # here, as in `Models.get`

        reasoner, case, checked, meaning = self._asked(key, edits, semantics)
        return suggest_flip(reasoner, case.encoded, checked, meaning)

    def advise(self, key: object, edits: object, semantics: object) -> dict[str, Any]:
        """Say what is worth a look next, and what to be wary of.

        Returns:
            `question`, see `csr_core.counsel.next_question`, and `notices`, the gravest first,
            each with `level`, `kind`, `meaning` and `action`, see `csr_core.safety`.

        Raises:
            CaseExpired, EditError, RequestError: as `reason`.
        """
        from csr_core.counsel import next_question  # here, as in `Models.get`
        from csr_core.safety import safety_notices

        reasoner, case, checked, meaning = self._asked(key, edits, semantics)
        given = (reasoner, case.encoded, checked, meaning)
        notices = [notice._asdict() for notice in safety_notices(*given)]
        return {"question": next_question(*given), "notices": notices}

    def keep(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Write a review as a file: the session, or the report.

        Args:
            asked: `key`, `edits` and `semantics` as of `reason`; `kind`: json, html or pdf;
                `concept`: index of the one the report paints; the rest see
                `csr_core.keeping.review_of`.

        Raises:
            CaseExpired, EditError, RequestError: as `reason`.
            SessionError: if a field of the review is not as it should be.
        """
        from csr_core import keeping  # here, as in `Models.get`

        kind = asked.get("kind")
        if kind not in ("json", "html", "pdf"):
            raise RequestError("A review is kept as 'json', 'html' or 'pdf'.")
        reasoner, case, checked, meaning = self._asked(
            asked.get("key"), asked.get("edits"), asked.get("semantics")
        )
        session = keeping.review_of(reasoner, case, checked, meaning, asked)
        if kind == "json":
            return keeping.session_file(session)
        concept = index_field(asked.get("concept"), "concept", len(reasoner.concepts))
        asked_for = (reasoner, case, session, concept, kind)
        return self._pictures.submit(keeping.report_file, *asked_for).result()

    def open_session(self, data: bytes, key: object) -> dict[str, Any]:
        """Open the case of a session file, and replay it.

        Args:
            data: of the file.
            key: of the case on the screen, for a session that left its image out; or None.

        Returns:
            `opened` as `open_image` answers, the image file as `image` (base64), `edits`, `times`,
            `comment`, `own_call`, `verdict`, `semantics`, and `differences` as sentences. Edits
            that this model can't make are left out, and a difference says so.

        Raises:
            CaseExpired, ImageError, RequestError: as `open_image` and `reason`.
            SessionError: if the file can't be read, or left out an image that is not open.
        """
        from csr_core.session import replay  # here, as in `Models.get`

        session = from_json(data)
        picture = session.picture
        if picture is None and key:
            shown = self._store.get(text_field(key, "key"))
            same = shown.encoded.image_hash == session.image_hash
            picture = shown.picture if same else None
        if picture is None:
            raise SessionError(
                "The session left its image out; open that image first, then the session again."
            )
        opened = self.open_image(session.checkpoint_name, picture, "Image of a session")
        reasoner = self._models.get(session.checkpoint_name)
        case = self._store.get(opened["key"])
        differences = replay(reasoner, case.encoded, session)
        possible = not any(difference.what in ("edits", "names") for difference in differences)
        steps = session.steps if possible else ()
        return {
            "opened": opened,
            "image": base64.b64encode(case.picture).decode("ascii"),
            "edits": [edit_to_json(step.edit) for step in steps],
            "times": [step.time.isoformat().replace("+00:00", "Z") for step in steps],
            "comment": session.comment,
            "own_call": session.own_call,
            "verdict": session.verdict,
            "semantics": session.semantics,
            "differences": [difference.sentence for difference in differences],
        }

    def exemplar(self, model: object, concept: object, prototype: object) -> dict[str, Any]:
        """Describe the training patch that a prototype stands for.

        Args:
            model: name of a checkpoint.
            concept: index of a concept.
            prototype: its number within the concept.

        Raises:
            RequestError: if there is no such model or prototype.
        """
        reasoner = self._models.get(text_field(model, "model"))
        K, M = reasoner.atlas.shape
        entry = reasoner.atlas[
            index_field(concept, "concept", K), index_field(prototype, "prototype", M)
        ]
        return {
            "image_id": entry.image_id,
            "row": entry.row,
            "column": entry.column,
            "hits": entry.hits,
            "reliance": entry.reliance,
            "picture": self._exemplar_picture(entry, reasoner.grid),
        }

    def _asked(
        self, key: object, edits: object, semantics: object
    ) -> tuple["Reasoner", OpenCase, tuple[Edit, ...], Literal["calibrated", "paper"]]:
        """The model, the case, the edits and their meaning that a request is about."""
        case = self._store.get(text_field(key, "key"))
        reasoner = self._models.get(case.model)
        return reasoner, case, edits_from_json(edits), semantics_field(semantics)

    def _exemplar_picture(self, entry: "AtlasEntry", grid: tuple[int, int]) -> str | None:
        try:
            if entry.picture is not None:
                return data_url(decode_image(entry.picture), PICTURE_SIDE)
            path = self._training_image(entry.image_id)
            if path is None:
                return None
            return jpeg_url(exemplar_crop(decode_image(path), (entry.row, entry.column), grid[0]))
        except ImageError:
            return None

    def _training_image(self, image_id: str) -> Path | None:
        if self._data is None or not is_safe_id(image_id):
            return None
        images = self._data / "images"
        return next(
            (path for place in ("", "*/") for path in images.glob(f"{place}{image_id}.*")), None
        )


def _read(
    reasoner: "Reasoner", source: bytes | Path, title: str
) -> tuple["EncodedCase", bytes, str]:
    """What the network saw in an image, the picture to keep, and the one to show."""
    pixels = decode_image(source, what=title)
    encoded = reasoner.encode(pixels)
    return encoded, kept(source, pixels), data_url(pixels, PICTURE_SIDE)


def _verdict(reasoner: "Reasoner", verdict: "Verdict") -> dict[str, Any]:
    return {
        "probabilities": verdict.probabilities.tolist(),
        "logits": verdict.logits.tolist(),
        "base": verdict.base.tolist(),
        "contributions": verdict.contributions.tolist(),
        "answers": verdict.answers.tolist(),
        "similarities": reasoner.concept_scores(verdict).tolist(),
    }


def _reasoning(reasoner: "Reasoner") -> dict[str, Any]:
    """What turns similarities into logits, the same for all cases of a model."""
    weight, _ = reasoner.network.task_head.folded()  # (classes, K, M)
    return {
        "head": packed(weight.cpu().numpy().astype("<f8")),
        "absent": packed(reasoner.profiles.absent.astype("<f4")),
        "present": packed(reasoner.profiles.present.astype("<f4")),
        "answers": reasoner.answers
        and {
            "rejected": packed(reasoner.answers.rejected.astype("<f8")),
            "confirmed": packed(reasoner.answers.confirmed.astype("<f8")),
            "share": reasoner.answers.share,
        },
    }
