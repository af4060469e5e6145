"""The dermoscopy phantom: what it promises about labels, pictures, masks and files."""

import csv
import hashlib
import json
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_core.datasets.phantom import (
    ARTEFACT_RATES,
    PHANTOM_ARTEFACTS,
    PHANTOM_CLASSES,
    PHANTOM_CONCEPTS,
    PHANTOM_FREQUENCIES,
    Frequencies,
    Shortcut,
    bayes_macro_f1_of_table,
    bayes_optimal_macro_f1,
    parse_shortcut,
    phantom_case,
    render_case,
    write_phantom,
)
from csr_core.datasets.phantom.shortcuts import draw_artefacts

SMALL = 96


def frequencies(priors, **rates):
    concepts = dict.fromkeys(PHANTOM_CONCEPTS, (0.0, 0.0, 0.0)) | rates
    return Frequencies(priors=priors, concepts=MappingProxyType(concepts))


# --- statistics -----------------------------------------------------------------------------


def test_likelihoods_of_all_combinations_sum_to_one():
    total = np.zeros(3)
    for bits in range(2 ** len(PHANTOM_CONCEPTS)):
        chosen = frozenset(c for i, c in enumerate(PHANTOM_CONCEPTS) if bits >> i & 1)
        total += PHANTOM_FREQUENCIES.likelihood(chosen)
    assert total == pytest.approx([1, 1, 1])


def test_both_networks_together_are_impossible():
    both = frozenset({"typical_network", "atypical_network"})
    assert PHANTOM_FREQUENCIES.likelihood(both).sum() == 0


def test_bayes_optimum_is_one_when_a_concept_names_each_class():
    telling = frequencies((0.5, 0.3, 0.2), streaks=(0.0, 1.0, 0.0), milia_like_cyst=(0.0, 0.0, 1.0))
    assert bayes_optimal_macro_f1(telling).macro_f1 == pytest.approx(1.0)


def test_bayes_optimum_worked_out_by_hand_where_map_is_not_best():
    # Without any concept MAP calls everything a nevus: F1 = (2 x 0.6 / 1.6 + 0 + 0) / 3 = 0.25.
    # With streaks (P 0.2, 1, 0 per class) the streaky combination holds 0.12 nevus and 0.1
    # melanoma: MAP says nevus and keeps 2 x 0.6 / 1.6 / 3; calling it melanoma gives
    # nevus 2 x 0.48 / (0.6 + 0.78) and melanoma 2 x 0.1 / (0.1 + 0.22).
    telling = frequencies((0.6, 0.1, 0.3), streaks=(0.2, 1.0, 0.0))
    best = bayes_optimal_macro_f1(telling)
    assert best.map_macro_f1 == pytest.approx(0.25)
    assert best.macro_f1 == pytest.approx((0.96 / 1.38 + 0.2 / 0.32) / 3)
    assert best.class_weights[1] > best.class_weights[0]


def test_shipped_frequencies_leave_room_and_show_every_concept():
    best = bayes_optimal_macro_f1()
    assert 0.86 <= best.map_macro_f1 <= best.macro_f1 <= 0.93
    for rates in PHANTOM_FREQUENCIES.concepts.values():
        assert np.dot(rates, PHANTOM_FREQUENCIES.priors) >= 0.08


def test_bayes_score_of_a_large_drawn_table_approaches_the_population():
    rng = np.random.default_rng(0)
    drawn = [PHANTOM_FREQUENCIES.draw(rng) for _ in range(6000)]
    score = bayes_macro_f1_of_table([d for d, _ in drawn], [c for _, c in drawn])
    assert score == pytest.approx(bayes_optimal_macro_f1().macro_f1, abs=0.015)


def test_bayes_score_of_a_tiny_table_by_hand():
    # The third lesion shows a nevus' network: one false nevus, one missed melanoma.
    diagnoses = ["nevus", "melanoma", "melanoma", "seborrheic_keratosis"]
    concepts = [{"typical_network"}, {"blue_whitish_veil"}, {"typical_network"},
                {"milia_like_cyst"}]  # fmt: skip
    score = bayes_macro_f1_of_table(diagnoses, [frozenset(c) for c in concepts])
    assert score == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_draws_follow_the_frequencies():
    rng = np.random.default_rng(1)
    drawn = [PHANTOM_FREQUENCIES.draw(rng) for _ in range(8000)]
    for index, name in enumerate(PHANTOM_CLASSES):
        of_class = [concepts for diagnosis, concepts in drawn if diagnosis == name]
        assert len(of_class) / 8000 == pytest.approx(PHANTOM_FREQUENCIES.priors[index], abs=0.025)
        for concept, rates in PHANTOM_FREQUENCIES.concepts.items():
            share = np.mean([concept in c for c in of_class])
            assert share == pytest.approx(rates[index], abs=0.045)
    assert not any({"typical_network", "atypical_network"} <= concepts for _, concepts in drawn)


@pytest.mark.parametrize(
    ("priors", "rates", "message"),
    [
        ((0.5, 0.5, 0.5), {}, "sum to"),
        ((0.5, 0.3, 0.2), {"streaks": (0.1, 1.4, 0.1)}, "probability"),
        (
            (0.5, 0.3, 0.2),
            {"typical_network": (0.7, 0, 0), "atypical_network": (0.6, 0, 0)},
            "exclude each other",
        ),
    ],
)
def test_impossible_frequencies_are_refused(priors, rates, message):
    with pytest.raises(ValueError, match=message):
        frequencies(priors, **rates)


# --- shortcut -------------------------------------------------------------------------------


def test_parse_shortcut_reads_the_command_line_form():
    assert parse_shortcut("ruler:melanoma:0.9:0.05") == Shortcut("ruler", "melanoma", 0.9, 0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ruler:melanoma:0.9", "3 parts"),
        ("tape:melanoma:0.9:0.1", "'tape' is unknown"),
        ("ruler:wart:0.9:0.1", "'wart' is unknown"),
        ("ruler:melanoma:often:0.1", "must be numbers"),
        ("ruler:melanoma:1.5:0.1", "no probability"),
        ("ruler:melanoma:nan:0.1", "no probability"),
    ],
)
def test_parse_shortcut_says_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        parse_shortcut(text)


def test_shortcut_ties_its_artefact_and_leaves_the_others():
    rng = np.random.default_rng(2)
    shortcut = Shortcut("ruler", "melanoma", 0.9, 0.05)
    drawn = {
        name: [draw_artefacts(rng, name, shortcut) for _ in range(2000)] for name in PHANTOM_CLASSES
    }
    for name, pictures in drawn.items():
        expected = 0.9 if name == "melanoma" else 0.05
        assert np.mean(["ruler" in p for p in pictures]) == pytest.approx(expected, abs=0.03)
        assert np.mean(["hair" in p for p in pictures]) == pytest.approx(
            ARTEFACT_RATES["hair"], abs=0.04
        )


# --- pictures -------------------------------------------------------------------------------


@st.composite
def concept_sets(draw):
    chosen = set(draw(st.sets(st.sampled_from(PHANTOM_CONCEPTS))))
    if {"typical_network", "atypical_network"} <= chosen:
        chosen.remove(draw(st.sampled_from(("typical_network", "atypical_network"))))
    return frozenset(chosen)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    concepts=concept_sets(),
    artefacts=st.frozensets(st.sampled_from(PHANTOM_ARTEFACTS)),
)
def test_every_present_concept_has_a_region_as_large_as_a_patch(seed, concepts, artefacts):
    case = render_case(np.random.default_rng(seed), concepts, artefacts, SMALL)
    assert case.image.shape == (SMALL, SMALL, 3)
    assert case.image.dtype == np.uint8
    assert set(case.masks) == concepts
    patch = (SMALL / 14) ** 2
    for mask in (*case.masks.values(), case.lesion_mask):
        assert mask.shape == (SMALL, SMALL)
        assert mask.dtype == bool
        assert mask.sum() >= patch


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), concepts=concept_sets())
def test_regions_lie_on_the_lesion_and_area_concepts_overlap_little(seed, concepts):
    case = render_case(np.random.default_rng(seed), concepts, frozenset(), SMALL)
    near = cv2.dilate(case.lesion_mask.astype(np.uint8), np.ones((19, 19))) > 0
    # Streaks run along the border over whatever lies there; the others fade into each other.
    areas = [mask for name, mask in case.masks.items() if name != "streaks"]
    for mask in case.masks.values():
        assert (mask & near).sum() >= 0.95 * mask.sum()
    for index, mask in enumerate(areas):
        for other in areas[index + 1 :]:
            assert (mask & other).sum() <= 0.45 * min(mask.sum(), other.sum())


@pytest.mark.parametrize("concept", PHANTOM_CONCEPTS)
def test_a_concept_changes_the_picture_in_its_region(concept):
    other = "streaks" if concept != "streaks" else "milia_like_cyst"
    for seed in range(3):
        shown, without = (
            render_case(np.random.default_rng(seed), frozenset({name}), frozenset())
            for name in (concept, other)
        )
        # The same stream and the same number of concepts give the same skin and outline.
        assert (shown.lesion_mask == without.lesion_mask).all()
        change = np.abs(shown.image.astype(int) - without.image).mean(axis=2)
        mine = shown.masks[concept] & ~without.masks[other]
        untouched = ~cv2.dilate(
            (shown.lesion_mask | shown.masks[concept] | without.masks[other]).astype(np.uint8),
            np.ones((25, 25)),
        ).astype(bool)
        assert change[mine].mean() > 8
        assert change[untouched].max() <= 1


@pytest.mark.parametrize("artefact", PHANTOM_ARTEFACTS)
def test_an_artefact_is_visible_and_moves_neither_lesion_nor_structures(artefact):
    concepts = frozenset({"dots_and_globules"})
    plain, marked = (
        render_case(np.random.default_rng(5), concepts, frozenset(names))
        for names in ((), (artefact,))
    )
    change = np.abs(plain.image.astype(int) - marked.image).max(axis=2)
    assert (change > 25).sum() > 100
    assert not (marked.masks["dots_and_globules"] & ~plain.masks["dots_and_globules"]).any()


@pytest.mark.parametrize("artefact", PHANTOM_ARTEFACTS)
def test_the_mask_of_an_artefact_is_where_it_changes_the_picture(artefact):
    for seed in range(4):
        plain, marked = (
            render_case(np.random.default_rng(seed), frozenset({"streaks"}), frozenset(names))
            for names in ((), (artefact,))
        )
        change = np.abs(plain.image.astype(int) - marked.image).max(axis=2)
        assert not plain.artefact_masks
        assert set(marked.artefact_masks) == {artefact}
        mask = marked.artefact_masks[artefact]
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0  # the lens blurs
        assert change[mask].mean() > 15
        assert (change[mask] >= 5).mean() > 0.85
        assert (change[near] > 25).sum() >= 0.995 * (change > 25).sum()
        assert change[~near].mean() < 1


def test_the_mask_of_an_artefact_leaves_out_what_a_later_one_hides():
    for seed in range(4):
        ink, both = (
            render_case(np.random.default_rng(seed), frozenset(), frozenset(names)).artefact_masks
            for names in (("ink",), ("ink", "patches"))
        )
        plaster = render_case(
            np.random.default_rng(seed), frozenset(), frozenset({"patches"})
        ).artefact_masks["patches"]
        assert (both["patches"] & ~plaster).sum() <= 0.02 * plaster.sum()
        hidden = cv2.erode(plaster.astype(np.uint8), np.ones((31, 31))) > 0
        assert not (both["ink"] & hidden).any()
        assert (both["ink"] & ~plaster).sum() == (ink["ink"] & ~plaster).sum()


def test_the_pixels_of_a_seed_stay_what_they_were():
    """Published figures name seeds; digests are of pictures rendered before artefacts had masks."""
    digest = hashlib.sha256()
    for index in range(4):
        digest.update(phantom_case(5, index, size=SMALL)[1].image.tobytes())
    assert digest.hexdigest() == "c2a61bc6e9d0c3e814c516db926e188f3ae44e3304d216a73ef8ed85585c0af5"


def test_a_mask_leaves_out_what_an_artefact_hides():
    for seed in range(8):
        case = render_case(
            np.random.default_rng(seed), frozenset({"streaks"}), frozenset({"dark_corner"})
        )
        corners = np.hypot(*(np.mgrid[0:256, 0:256] - 127.5)) > 170
        assert case.image[corners].max() < 40
        assert not (case.masks["streaks"] | case.lesion_mask)[corners].any()


def test_pictures_are_a_function_of_the_stream():
    arguments = (frozenset({"regression"}), frozenset({"hair"}), SMALL)
    first, again = (render_case(np.random.default_rng(9), *arguments) for _ in range(2))
    other = render_case(np.random.default_rng(10), *arguments)
    assert (first.image == again.image).all()
    assert (first.image != other.image).mean() > 0.5


def test_size_changes_the_resolution_not_the_scene():
    concepts = frozenset({"blue_whitish_veil"})
    large, small = (
        render_case(np.random.default_rng(3), concepts, frozenset(), size) for size in (256, 128)
    )
    assert large.lesion_mask.mean() == pytest.approx(small.lesion_mask.mean(), rel=0.25)


@pytest.mark.parametrize(
    ("concepts", "artefacts", "size", "message"),
    [
        ({"wart"}, set(), 256, "unknown concept 'wart'"),
        (set(), {"thumb"}, 256, "unknown artefact 'thumb'"),
        ({"typical_network", "atypical_network"}, set(), 256, "not both"),
        (set(), set(), 16, "size is 16"),
        (set(), set(), 5000, "size is 5000"),
    ],
)
def test_render_case_refuses_what_it_cannot_paint(concepts, artefacts, size, message):
    with pytest.raises(ValueError, match=message):
        render_case(np.random.default_rng(0), frozenset(concepts), frozenset(artefacts), size)


# --- files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "set"
    steps = []
    summary = write_phantom(
        out, 12, seed=7, size=SMALL, val_fraction=0.25, test_fraction=0.25,
        progress=lambda done, count: steps.append((done, count)),
    )  # fmt: skip
    return out, summary, steps


def test_written_folder_matches_its_table(written):
    out, summary, steps = written
    rows = list(csv.DictReader((out / "labels.csv").open(encoding="utf-8")))
    assert [row["split"] for row in rows] == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    assert summary.split_counts == {"train": 6, "val": 3, "test": 3}
    assert list(rows[0]) == [
        "image_id", "split", "diagnosis", *PHANTOM_CONCEPTS, *PHANTOM_ARTEFACTS
    ]  # fmt: skip
    assert steps == [(done, 12) for done in range(1, 13)]
    for row in rows:
        name = row["image_id"]
        assert cv2.imread(str(out / "images" / row["split"] / f"{name}.jpg")).shape[:2] == (96, 96)
        assert (out / "lesion_masks" / f"{name}.png").exists()
        for seen in (*PHANTOM_CONCEPTS, *PHANTOM_ARTEFACTS):
            mask = out / "masks" / seen / f"{name}.png"
            assert mask.exists() == (row[seen] == "1")
            if mask.exists():
                values = np.unique(cv2.imread(str(mask), cv2.IMREAD_UNCHANGED))
                assert set(values) <= {0, 255}
    assert sum(summary.class_counts.values()) == 12
    assert summary.concept_counts["streaks"] == sum(row["streaks"] == "1" for row in rows)


def test_dataset_description_states_the_best_possible_score(written):
    out, summary, _ = written
    description = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    assert description["synthetic"] is True
    assert description["classes"] == list(PHANTOM_CLASSES)
    assert description["concepts"] == list(PHANTOM_CONCEPTS)
    assert description["artefacts"] == list(PHANTOM_ARTEFACTS)
    assert description["seed"] == 7
    assert description["bayes_optimal_macro_f1"] == summary.bayes_optimal.macro_f1
    assert description["frequencies"]["concepts"]["streaks"]["melanoma"] == 0.42


def test_a_picture_depends_on_seed_and_index_alone(written, tmp_path):
    out, _, _ = written
    write_phantom(tmp_path / "more", 3, seed=7, size=SMALL, val_fraction=0, test_fraction=0)
    for index in range(3):
        name = f"phantom_7_{index:06d}.jpg"
        assert (out / "images/train" / name).read_bytes() == (
            tmp_path / "more/images/train" / name
        ).read_bytes()
    labels, _ = phantom_case(7, 1, size=SMALL)
    row = list(csv.DictReader((out / "labels.csv").open(encoding="utf-8")))[1]
    assert row["diagnosis"] == labels.diagnosis


def test_several_processes_write_the_same_bytes(tmp_path):
    for workers in (1, 2):
        write_phantom(tmp_path / str(workers), 64, seed=3, size=64, workers=workers)
    files = [path for path in (tmp_path / "1").rglob("*") if path.is_file()]
    assert len(files) > 128
    for path in files:
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()


def test_a_shortcut_changes_artefacts_not_lesions():
    shortcut = Shortcut("patches", "nevus", 1.0, 0.0)
    for index in range(12):
        labels, case = phantom_case(4, index, size=64, shortcut=shortcut)
        plain_labels, plain = phantom_case(4, index, size=64)
        assert ("patches" in labels.artefacts) == (labels.diagnosis == "nevus")
        assert labels.concepts == plain_labels.concepts
        assert not (case.lesion_mask & ~plain.lesion_mask).any() or (
            "dark_corner" in plain_labels.artefacts
        )


def test_a_folder_with_content_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not an empty folder"):
        write_phantom(tmp_path, 4, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "set").mkdir()
    write_phantom(tmp_path / "set", 2, seed=0, size=64)
    assert (tmp_path / "set" / "labels.csv").exists()


@pytest.mark.parametrize(
    ("count", "seed", "options", "message"),
    [
        (0, 0, {}, "count is 0"),
        (10**9, 0, {}, "count is 1000000000"),
        (5, -1, {}, "seed is -1"),
        (5, 0, {"val_fraction": 0.7, "test_fraction": 0.6}, "exceed 1"),
        (5, 0, {"size": 8}, "size is 8"),
    ],
)
def test_silly_numbers_are_refused_before_anything_is_written(
    tmp_path: Path, count, seed, options, message
):
    with pytest.raises(ValueError, match=message):
        write_phantom(tmp_path / "set", count, seed, **options)
    assert not list(tmp_path.iterdir())


def test_a_stopped_run_leaves_nothing_behind(tmp_path):
    def stop(done, count):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "set", 6, seed=0, size=64, progress=stop)
    assert not list(tmp_path.iterdir())
