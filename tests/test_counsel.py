"""What the screen is told: the smallest change in words, and the next question."""

from hypothesis import given
from situations import CLASSES, CONCEPTS, build, edit_lists, random_situation, seeds, semantics

from csr_core.counsel import next_question, suggest_flip
from csr_core.edits import edits_from_json


@given(seed=seeds, edits=edit_lists, meaning=semantics)
def test_the_edits_of_a_suggestion_do_what_its_sentence_says(seed, edits, meaning):
    reasoner, case = random_situation(seed)
    said = suggest_flip(reasoner, case, edits, meaning)
    before = reasoner.reason(case, edits, meaning).probabilities
    after = reasoner.reason(case, [*edits, *edits_from_json(said["edits"])], meaning).probabilities
    if said["edits"]:
        first, last = before.argmax(), after.argmax()
        assert first != last
        change = f"{CLASSES[first]} {before[first]:.2f} → {CLASSES[last]} {after[last]:.2f}"
        assert said["sentence"].startswith(f"{said['label']}: {change}; ")
    else:
        assert said["label"] == ""
        assert said["sentence"].startswith("No marks")


def test_one_rejected_concept_is_said_in_one_sentence():
    # Streaks alone speak for melanoma; nevus starts 1 ahead, so without streaks it leads.
    maps = [[[[0.9, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]]
    weight = [[[0.0], [0.0]], [[4.0], [0.0]], [[0.0], [0.0]]]
    reasoner, case = build(maps, weight, [1.0, 0.0, -9.0], 0.0, 0.8)
    said = suggest_flip(reasoner, case, [], "calibrated")
    assert said["label"] in ("Reject streaks", "Suppress streaks at 1 patch")
    assert said["sentence"] == f"{said['label']}: melanoma 0.93 → nevus 0.73; " + (
        "no smaller change exists."
    )


def test_a_diagnosis_no_evidence_can_change_is_said_to_be_so():
    maps = [[[[0.5]]], [[[0.5]]]]
    weight = [[[0.0], [0.0]], [[0.0], [0.0]], [[0.0], [0.0]]]
    reasoner, case = build(maps, weight, [1.0, 0.0, 0.0], 0.0, 0.8)
    said = suggest_flip(reasoner, case, [], "calibrated")
    assert said["edits"] == []
    assert "nevus leads whatever the concepts show" in said["sentence"]


@given(seed=seeds, edits=edit_lists, meaning=semantics)
def test_the_question_names_its_concept_and_patches_of_the_grid(seed, edits, meaning):
    reasoner, case = random_situation(seed)
    question = next_question(reasoner, case, edits, meaning)
    assert question["sentence"].startswith(CONCEPTS[question["concept"]] + ": ")
    rows, columns = reasoner.grid
    assert question["cells"]
    assert all(0 <= row < rows and 0 <= column < columns for row, column in question["cells"])
