"""What if: one patch suppressed, and the smallest set of marks that changes the diagnosis.

Logits are linear in the scores, and the scores of a concept depend on the marks of that concept
only. So the marks of every concept are listed by themselves, and the concepts are then combined by
dynamic programming over the number of marks. A mark is a rejected concept, a confirmed concept, or
one patch suppressed or forced; rejecting and confirming exclude patches of the same concept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from csr_core.edits import Confirm, Edit, Force, Reject, Suppress
from csr_core.evidence import Semantics, answered
from csr_core.fronts import combine, merged, nearest
from csr_core.marks import ConceptMarks, levels_of
from csr_core.reasoner import EncodedCase, Reasoner, Verdict

__all__ = ["Flip", "smallest_flip", "what_if_cells", "why_no_flip"]

MAX_MARKS = 24
"""Most marks of an answer."""
CLEARLY = 1e-9
"""A diagnosis must win by this much in log-odds, so that rounding never decides."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Flip:
    """Marks that change the diagnosis.

    Attributes:
        edits: to append to those the search started from; none if the target wins already.
        verdict: after them.
        before: index of the diagnosis without them.
        after: index of the diagnosis with them.
        cost: concepts rejected or confirmed plus patches marked.
        lower_bound: no smaller number of marks does it.
    """

    edits: tuple[Edit, ...]
    verdict: Verdict
    before: int
    after: int
    cost: int
    lower_bound: int

    @property
    def exact(self) -> bool:
        """Whether no smaller set of marks exists."""
        return self.cost == self.lower_bound


def what_if_cells(
    reasoner: Reasoner, case: EncodedCase, edits: Sequence[Edit], semantics: Semantics
) -> NDArray[np.float32]:
    """Probabilities if one patch of one concept were suppressed now, for every patch and concept.

    Args:
        reasoner: the model that encoded the case.
        case: from `Reasoner.encode`.
        edits: in effect already.
        semantics: how edits are read.

    Returns:
        (K, H, W, classes), as `reason` with one more `Suppress` answers, to rounding.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded the case.
    """
    verdict = reasoner.reason(case, edits, semantics)
    levels = levels_of(reasoner, case, edits, semantics)
    size = levels.current.shape[2]
    best = levels.current.argmax(axis=2)[..., None]  # (K, M, 1)
    top = levels.current.max(axis=2, keepdims=True)
    second = (
        np.partition(levels.current, -2)[..., -2:-1] if size > 1 else np.full_like(top, -np.inf)
    )
    rest = np.where(np.arange(size) == best, second, top)  # (K, M, H·W)
    scores = np.minimum(np.maximum(rest, levels.suppressed), levels.cap[..., None])
    change = scores - verdict.scores[..., None].astype(np.float64)
    logits = verdict.logits + np.einsum("ckm,kmx->kxc", _weight(reasoner), change)
    carried = answered(reasoner.merge(edits).marks).reshape(-1, size)  # (K, H·W)
    last = carried & (carried.sum(axis=1, keepdims=True) == 1)
    logits -= last[..., None] * verdict.answers.T[:, None]  # an answer ends with its last patch
    probabilities = softmax(logits, axis=2)
    return probabilities.reshape(-1, *reasoner.grid, len(reasoner.classes)).astype(np.float32)


def smallest_flip(
    reasoner: Reasoner,
    case: EncodedCase,
    edits: Sequence[Edit],
    semantics: Semantics,
    target: int | None = None,
) -> Flip | None:
    """Find the smallest set of marks, on top of the edits, that changes the diagnosis.

    Args:
        reasoner: the model that encoded the case.
        case: from `Reasoner.encode`.
        edits: in effect already.
        semantics: how edits are read.
        target: index of the diagnosis that shall win; None for any other than the present one.

    Returns:
        The marks, or None if none were found; `why_no_flip` then says whether there are none.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded the case, or there is no such diagnosis.
    """
    found = _search(reasoner, case, edits, semantics, target)
    return found if isinstance(found, Flip) else None


def why_no_flip(
    reasoner: Reasoner,
    case: EncodedCase,
    edits: Sequence[Edit],
    semantics: Semantics,
    target: int | None = None,
) -> str:
    """Say in one sentence why `smallest_flip` found nothing; empty if it finds something."""
    found = _search(reasoner, case, edits, semantics, target)
    return found if isinstance(found, str) else ""


def _weight(reasoner: Reasoner) -> Numbers:
    return reasoner.network.task_head.folded()[0].detach().cpu().numpy()  # (classes, K, M)


def _search(
    reasoner: Reasoner,
    case: EncodedCase,
    edits: Sequence[Edit],
    semantics: Semantics,
    target: int | None,
) -> Flip | str:
    verdict = reasoner.reason(case, edits, semantics)
    names, logits = reasoner.classes, verdict.logits
    before = int(logits.argmax())
    if target is not None and not 0 <= target < len(names):
        raise ValueError(f"There is no diagnosis {target}; count from 0 to {len(names) - 1}.")
    if target == before:
        return Flip((), verdict, before, before, 0, 0)
    levels, weight = levels_of(reasoner, case, edits, semantics), _weight(reasoner)
    evidence = reasoner.merge(edits)
    weighed = reasoner.weighs_answers(semantics)
    carriers = weighed * answered(evidence.marks).sum(axis=(1, 2))  # (K,)

    def called(edit: Edit) -> Numbers:
        return reasoner.reason(case, reasoner.merge([edit], evidence), semantics).logits - logits

    concepts = [
        ConceptMarks(
            levels,
            index,
            verdict.scores,
            weight,
            np.stack([called(Reject(index)), called(Confirm(index))]),
            verdict.answers[:, index] if 0 < carriers[index] <= MAX_MARKS else None,
        )
        for index in range(len(reasoner.concepts))
    ]
    goals = (
        [(other, [before]) for other in np.argsort(-logits).tolist() if other != before]
        if target is None
        else [(target, [other for other in range(len(names)) if other != target])]
    )
    best: tuple[int, int, list[tuple[int, NDArray[np.intp]]]] | None = None
    lower_bound = MAX_MARKS + 1
    possible = False
    for winner, losers in goals:
        gain = np.eye(len(names))[winner] - np.eye(len(names))[losers]  # (d, classes)
        deficit = CLEARLY - gain @ logits
        if (sum(concept.bound(gain) for concept in concepts) < deficit).any():
            continue
        possible = True
        most = best[0] - 1 if best else MAX_MARKS
        bound, found = _cheapest(concepts, gain, deficit, most)
        lower_bound = min(lower_bound, bound)
        if found:
            best = (sum(len(codes) for _, codes in found), winner, found)
    if best is None:
        change = f"make {'another diagnosis' if target is None else names[target]} win"
        if not possible:
            return f"No marks can {change}: {names[before]} leads whatever the concepts show."
        return f"No marks that {change} were found; with fewer than {lower_bound} there are none."
    added = tuple(
        edit
        for concept, codes in best[2]
        for edit in _edits(reasoner.concepts[concept], codes, reasoner.grid)
    )
    after = reasoner.reason(case, [*edits, *added], semantics)
    return Flip(added, after, before, int(after.logits.argmax()), best[0], lower_bound)


def _cheapest(
    concepts: Sequence[ConceptMarks], gain: Numbers, deficit: Numbers, most: int
) -> tuple[int, list[tuple[int, NDArray[np.intp]]]]:
    """The least number of marks that may reach the deficit, and the smallest set that does."""
    choices = [list(concept.options) for concept in concepts]
    tried = [[options.changes @ gain.T for options in ways] for ways in choices]
    hoped = [concept.hopes(gain) for concept in concepts]
    bound, _ = combine(hoped, deficit, most, merged)
    cost, picks = combine(tried, deficit, most, nearest)
    if cost > bound:
        for concept, ways, gains in zip(concepts, choices, tried, strict=True):
            grown = concept.grow(gain, deficit)
            ways += grown
            gains += [options.changes @ gain.T for options in grown]
        _, picks = combine(tried, deficit, most, nearest)
    return bound, [
        (concept, choices[concept][marks - 1].codes[option]) for concept, marks, option in picks
    ]


def _edits(concept: str, codes: NDArray[np.intp], grid: tuple[int, int]) -> list[Edit]:
    rows, columns = grid
    X = rows * columns
    if codes[0] >= 2 * X:
        return [Reject(concept) if codes[0] == 2 * X else Confirm(concept)]
    low, high = (
        [divmod(int(code) - start, columns) for code in codes if start <= code < start + X]
        for start in (0, X)
    )
    edits: list[Edit] = [Suppress(concept, low)] if low else []
    return [*edits, Force(concept, high)] if high else edits
