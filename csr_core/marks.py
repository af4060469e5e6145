"""The marks of one concept: every score they lead to, and what that does to the logits.

With one or two patches the list is complete, because only few sets matter: suppressing patches
changes a score only if the patch with the maximum is among them, and forced patches only matter by
their forced similarity. Larger sets are grown greedily; the range within which any marks can move
a score bounds what was not tried.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from csr_core.edits import Edit
from csr_core.evidence import FORCED, SUPPRESSED, Semantics, apply_evidence
from csr_core.reasoner import EncodedCase, Reasoner

__all__ = ["ConceptMarks", "Levels", "Options", "levels_of"]

MAX_PATCHES = 6
"""Most patches of one concept that the greedy search marks."""
MAX_FORCED_ROWS = 256

Numbers = NDArray[np.float64]


class Levels(NamedTuple):
    """Similarity of every patch as it is, suppressed and forced, (K, M, H·W) each.

    A score is the maximum over patches, but never above `cap` (K, M).
    """

    current: NDArray[np.float32]
    suppressed: NDArray[np.float32]
    forced: NDArray[np.float32]
    cap: NDArray[np.float32]


def levels_of(
    reasoner: Reasoner, case: EncodedCase, edits: Sequence[Edit], semantics: Semantics
) -> Levels:
    """Apply the edits, and on top of them every single mark.

    Raises:
        EditError: if an edit does not fit the case.
    """
    evidence = reasoner.on_maps(reasoner.merge(edits), semantics)
    share = reasoner.share_of_answers(semantics)
    maps = case.similarity_maps
    K, M = maps.shape[:2]

    def under(marks: NDArray[np.int8]) -> NDArray[np.float32]:
        edited, _ = apply_evidence(maps, marks, evidence.focus, reasoner.profiles, semantics, share)
        return edited.reshape(K, M, -1)

    cap = maps.max(axis=(2, 3)) if semantics == "paper" else np.full((K, M), np.inf, np.float32)
    return Levels(
        under(evidence.marks),
        under(np.full_like(evidence.marks, SUPPRESSED)),
        under(np.full_like(evidence.marks, FORCED)),
        cap,
    )


class Options(NamedTuple):
    """Ways to mark one concept with the same number of marks.

    A code below X = H·W suppresses that patch, X + patch forces it, 2·X rejects and 2·X + 1
    confirms the concept.
    """

    codes: NDArray[np.intp]  # (n, marks)
    changes: Numbers  # (n, classes), of the logits


class ConceptMarks:
    """The marks of one concept and what they do to the logits.

    Args:
        levels: of the case.
        concept: index of the concept.
        scores: (K, M), before any of these marks.
        weight: (classes, K, M) of the task head.
        calls: (2, classes), what rejecting and confirming the concept add to the logits.
        answer: (classes,), what an answer adds that so few patches carry that marks may take it
            back; such a concept is not marked by patches. None if there is no such answer.

    Attributes:
        options: every way to mark the concept with 1, 2, … marks; up to `complete` of them.
        complete: number of marks up to which nothing was left out that changes a score otherwise.
    """

    def __init__(
        self,
        levels: Levels,
        concept: int,
        scores: NDArray[np.float32],
        weight: Numbers,
        calls: Numbers,
        answer: Numbers | None = None,
    ) -> None:
        self.current, self.suppressed, self.forced, self.cap = (part[concept] for part in levels)
        self.scores, self.weight = scores[concept], weight[:, concept]  # (M,), (classes, M)
        self.calls, self.answer = calls, answer
        self.size = self.current.shape[1]
        padded = np.pad(self.current, ((0, 0), (0, 3)), constant_values=-np.inf)
        self.order = np.argsort(-padded, axis=1, kind="stable")[:, :3]  # (M, 3)
        self.tops = np.take_along_axis(padded, self.order, axis=1)
        self.lowest = np.minimum(self.suppressed.max(axis=1), self.cap)
        self.highest = np.minimum(self.forced.max(axis=1), self.cap)
        self.forcible = self._forcible(self.forced.T, copies=2)
        self.options, self.complete = self._few_marks()

    def bound(self, gain: Numbers) -> Numbers:
        """The most any marks can add to each of some sums Σ_c gain_dc · logit_c, (d,)."""
        weight = gain @ self.weight  # (d, M)
        scores = self.scores.astype(np.float64)
        ends = np.stack([self.lowest - scores, self.highest - scores])  # (2, M)
        by_patches = np.maximum(weight[:, None] * ends, 0).max(axis=1).sum(axis=1)
        if self.answer is not None:
            by_patches += np.maximum(-gain @ self.answer, 0)
        return np.maximum(by_patches, (gain @ self.calls.T).max(axis=1))

    def hopes(self, gain: Numbers) -> list[Numbers]:
        """The gains of 1, 2, … marks, as far as all are listed, and last a bound for any more."""
        bound = self.bound(gain)[None]
        if self.answer is not None:
            return [bound]
        return [*(options.changes @ gain.T for options in self.options), bound]

    def grow(self, gain: Numbers, deficit: Numbers) -> list[Options]:
        """Grow sets of more patches than `complete`, each by the best next patch.

        Args:
            gain: (d, classes), the sums of logits that matter.
            deficit: (d,), what they shall reach.

        Returns:
            The ways found with `complete + 1` marks, one mark more, and so on.
        """
        grown: list[Options] = []
        codes, changes = self.options[self.complete - 1]
        patches = (codes < 2 * self.size).all(axis=1)
        codes, changes = codes[patches], changes[patches]
        for _ in range(self.complete, MAX_PATCHES):
            if not len(codes):
                break
            best = (changes @ gain.T - deficit).min(axis=1).argmax()
            codes, changes = self._extended(codes[best])
            grown.append(Options(codes, changes))
        return grown

    def _few_marks(self) -> tuple[list[Options], int]:
        X = self.size
        called = Options(np.array([[2 * X], [2 * X + 1]]), self.calls)
        if self.answer is not None:
            return [called], 1
        leaders = np.unique(self.order[:, 0])
        contenders = np.unique(self.order[:, :2])
        first, second = _pairs(contenders[contenders < X])
        leading = np.isin(first, leaders) | np.isin(second, leaders)
        lone = leaders[:, None]
        pairs = np.column_stack([first, second])[leading]
        without_lone, without_pairs = self._without(lone), self._without(pairs)
        patches = self._options(
            [
                (lone, without_lone),
                (X + self.forcible[:, None], self._with(self.scores[None], self.forcible)),
            ]
        )
        ones = Options(
            np.concatenate([patches.codes, called.codes]),
            np.concatenate([patches.changes, called.changes]),
        )
        left, right = (part.ravel() for part in np.meshgrid(leaders, self.forcible, indexing="ij"))
        mixed = self._with(without_lone[:, None], self.forcible).reshape(-1, len(self.scores))
        apart = left != right
        twos = [
            (pairs, without_pairs),
            (np.column_stack([left, X + right])[apart], mixed[apart]),
        ]
        lifting = self._forcible(np.maximum(self.forced.T, self.scores), copies=1)
        complete = 2 if len(lifting) <= MAX_FORCED_ROWS else 1
        if complete == 2:
            first, second = _pairs(lifting)
            lifted = np.maximum(self._with(self.scores[None], first), self.forced[:, second].T)
            twos.append((X + np.column_stack([first, second]), lifted))
        return [ones, self._options(twos)][:complete], complete

    def _without(self, cells: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores (n, M) with one or two patches (n, 1 or 2) suppressed."""
        gone = np.zeros((len(cells), *self.order.shape), dtype=bool)  # (n, M, 3)
        for column in cells.T:
            gone |= self.order == column[:, None, None]
        rest = np.where(gone, -np.inf, self.tops).max(axis=2)
        return np.minimum(np.maximum(rest, self.suppressed[:, cells].max(axis=2).T), self.cap)

    def _with(self, scores: NDArray[np.float32], cells: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.minimum(np.maximum(scores, self.forced[:, cells].T), self.cap)

    def _forcible(self, rows: NDArray[np.float32], copies: int) -> NDArray[np.intp]:
        """Patches that differ when forced, of equal ones the most similar as they are now."""
        by_likeness = np.argsort(-self.current.max(axis=0), kind="stable")
        _, group = np.unique(rows[by_likeness], axis=0, return_inverse=True)
        kept = [
            cell
            for number in range(group.max() + 1)
            for cell in by_likeness[group.ravel() == number][:copies]
        ]
        return np.array(kept, dtype=np.intp)

    def _extended(self, codes: NDArray[np.intp]) -> Options:
        """All ways to mark one more patch."""
        X = self.size
        marked = codes % X
        low, high = codes[codes < X], codes[codes >= X] - X
        shown = self.current.copy()
        shown[:, low] = self.suppressed[:, low]
        floor = self.forced[:, high].max(axis=1, initial=-np.inf)
        found = []
        for cell in np.setdiff1d(shown.argmax(axis=1), marked):
            kept = shown[:, cell].copy()
            shown[:, cell] = self.suppressed[:, cell]
            found.append((cell, np.maximum(shown.max(axis=1), floor)))
            shown[:, cell] = kept
        plain = np.maximum(shown.max(axis=1), floor)
        for cell in np.setdiff1d(self.forcible, marked):
            found.append((X + cell, np.maximum(plain, self.forced[:, cell])))
        if not found:
            return Options(np.empty((0, len(codes) + 1), np.intp), np.empty((0, len(self.weight))))
        extended = np.array([[*codes, code] for code, _ in found], dtype=np.intp)
        scores = np.minimum(np.stack([scores for _, scores in found]), self.cap)
        return self._options([(extended, scores)])

    def _options(self, parts: Sequence[tuple[NDArray[np.intp], NDArray[np.float32]]]) -> Options:
        codes = np.concatenate([codes for codes, _ in parts])
        scores = np.concatenate([scores for _, scores in parts])
        return Options(codes, (scores - self.scores.astype(np.float64)) @ self.weight.T)


def _pairs(cells: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(len(cells), k=1)
    return cells[first], cells[second]
