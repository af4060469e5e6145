"""The folder format: read as written, or refused with every fault at once."""

import csv
import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from csr_core.datasets import (
    Box,
    DatasetError,
    Problem,
    load_dataset,
    load_image,
    region_mask,
)
from csr_core.files import atomic_target, read_json, write_bytes_atomic, write_json_atomic
from csr_core.imaging import ImageError

DESCRIPTION = {
    "name": "Small set",
    "classes": ["nevus", "melanoma"],
    "concepts": ["streaks", "globules"],
    "artefacts": ["hair"],
    "licence": "CC0-1.0",
    "source": "drawn for this test",
}
HEADER = "image_id,split,diagnosis,streaks,globules,hair"
ROWS = ["a1,train,nevus,1,0,1", "a2,train,melanoma,0,1,", "a3,val,,,,0"]


def write_set(root, *, description=DESCRIPTION, header=HEADER, rows=ROWS, boxes=None):
    (root / "images" / "train").mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(description))
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    if boxes is not None:
        lines = ["image_id,concept,x_min,y_min,x_max,y_max", *boxes]
        (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    for name, colour in (("train/a1.png", "red"), ("train/a2.jpg", "lime"), ("a3.png", "blue")):
        Image.new("RGB", (40, 32), colour).save(root / "images" / name)
    return root


def write_mask(root, concept, image_id, pixels):
    folder = root / "masks" / concept
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{image_id}.png")


def problems_of(root, **options):
    with pytest.raises(DatasetError) as caught:
        load_dataset(root, **options)
    assert all(isinstance(problem, Problem) for problem in caught.value.problems)
    return caught.value.problems


def only_problem(root, **options):
    problems = problems_of(root, **options)
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


def test_everything_is_read(tmp_path):
    box = "a1,streaks,0.25,0.5,0.75,1"
    dataset = load_dataset(write_set(tmp_path, boxes=[box]), check_images=True)
    assert (dataset.name, dataset.licence) == ("Small set", "CC0-1.0")
    assert dataset.source == "drawn for this test" and dataset.root == tmp_path
    assert dataset.classes == ("nevus", "melanoma") and dataset.artefacts == ("hair",)
    assert dataset.image_ids == ("a1", "a2", "a3") and dataset.splits == ("train", "train", "val")
    assert len(dataset) == 3
    assert dataset.diagnoses.tolist() == [0, 1, -1] and dataset.diagnoses.dtype == np.int64
    assert dataset.concept_labels.tolist() == [[1, 0], [0, 1], [-1, -1]]
    assert dataset.artefact_labels.tolist() == [[1], [-1], [0]]
    assert dataset.concept_labels.dtype == dataset.artefact_labels.dtype == np.int8
    assert [path.name for path in dataset.image_paths] == ["a1.png", "a2.jpg", "a3.png"]
    assert dataset.boxes == {"a1": (Box("streaks", 0.25, 0.5, 0.75, 1.0),)}
    np.testing.assert_array_equal(load_image(dataset, 2), np.full((32, 40, 3), (0, 0, 255)))


def test_labels_cannot_be_changed_by_accident(tmp_path):
    dataset = load_dataset(write_set(tmp_path))
    with pytest.raises(ValueError, match="read-only"):
        dataset.select([0]).concept_labels[0, 0] = 0


def test_rows_are_selected_in_the_given_order(tmp_path):
    dataset = load_dataset(write_set(tmp_path, boxes=["a1,streaks,0,0,1,1", "a2,globules,0,0,1,1"]))
    assert dataset.rows_of("train").tolist() == [0, 1] and not len(dataset.rows_of("test"))
    selected = dataset.select([2, 0])
    assert selected.image_ids == ("a3", "a1") and selected.splits == ("val", "train")
    assert selected.diagnoses.tolist() == [-1, 0]
    assert selected.concept_labels.tolist() == [[-1, -1], [1, 0]]
    assert selected.image_paths[1].name == "a1.png" and set(selected.boxes) == {"a1"}
    assert len(dataset.select(dataset.rows_of("test"))) == 0


def test_column_order_extra_columns_byte_order_mark_and_blank_lines_are_accepted(tmp_path):
    root = write_set(tmp_path, description={**DESCRIPTION, "artefacts": []})
    lines = [
        "width,globules,split,image_id,diagnosis,streaks",
        '512,0,train,"a1",nevus,1',
        "",
        "512, 1 ,train,a2,melanoma,0",
    ]
    (root / "labels.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    dataset = load_dataset(root)
    assert dataset.image_ids == ("a1", "a2")
    assert dataset.concept_labels.tolist() == [[1, 0], [0, 1]]
    assert dataset.artefact_labels.shape == (2, 0)


def test_artefacts_licence_and_source_may_be_left_out(tmp_path):
    description = {key: DESCRIPTION[key] for key in ("name", "classes", "concepts")}
    dataset = load_dataset(write_set(tmp_path, description=description))
    assert dataset.artefacts == () and dataset.licence == dataset.source == ""


def test_a_set_without_training_rows_can_be_evaluated(tmp_path):
    root = write_set(tmp_path, rows=["a3,test,nevus,1,0,0"])
    assert only_problem(root).found == "no row in split train"
    assert load_dataset(root, for_training=False).splits == ("test",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "no readable file"),
        (b"{'name': 1}", "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"name": NaN}', "NaN is not a JSON number"),
        (b'"\xff"', "not UTF-8"),
        (b"[]", "[]"),
        (b" " * 2_000_000, "larger than"),
    ],
)
def test_unreadable_description(tmp_path, content, found):
    root = write_set(tmp_path)
    (root / "dataset.json").unlink()
    if content is not None:
        (root / "dataset.json").write_bytes(content)
    problem = only_problem(root)
    assert problem.file == "dataset.json" and found in problem.found


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("name", "", "nothing"),
        ("name", 3, "3"),
        ("licence", ["MIT"], "['MIT']"),
        ("classes", "nevus", "'nevus'"),
        ("classes", [], "0 names"),
        ("classes", ["nevus"], "1 names"),
        ("classes", ["nevus", "melanoma", "nevus"], "'nevus' twice"),
        ("concepts", [], "0 names"),
        ("concepts", ["streaks", "globules", "../up"], "'../up'"),
        ("concepts", ["streaks", "globules", "<b>"], "'<b>'"),
        ("concepts", ["streaks", "globules", ".hidden"], "'.hidden'"),
        ("concepts", ["streaks", "globules", 7], "7"),
        ("concepts", ["streaks", "globules", "x" * 129], "'xxxx"),
        ("artefacts", ["streaks"], "'streaks' more than once"),
        ("artefacts", ["split"], "'split' more than once"),
    ],
)
def test_wrong_description(tmp_path, key, value, found):
    problems = problems_of(write_set(tmp_path, description={**DESCRIPTION, key: value}))
    assert problems[0].file == "dataset.json" and key in problems[0].column
    assert any(found in problem.found for problem in problems)


def test_classes_and_concepts_must_be_there(tmp_path):
    found = problems_of(write_set(tmp_path, description={"name": "Small set"}))
    assert [(p.column, p.found) for p in found] == [("classes", "nothing"), ("concepts", "nothing")]


@pytest.mark.parametrize(
    ("row", "column", "found"),
    [
        ("a1,train,nevus,1,0,1", "image_id", "'a1' again"),
        ("../../etc/passwd,train,nevus,1,0,1", "image_id", "'../../etc/passwd'"),
        ("a/1,train,nevus,1,0,1", "image_id", "'a/1'"),
        ("a\\1,train,nevus,1,0,1", "image_id", r"'a\\1'"),
        ("a\0,train,nevus,1,0,1", "image_id", r"'a\x00'"),
        (".a,train,nevus,1,0,1", "image_id", "'.a'"),
        (f"{'a' * 129},train,nevus,1,0,1", "image_id", "'aaaa"),
        (",train,nevus,1,0,1", "image_id", "''"),
        ("é,train,nevus,1,0,1", "image_id", "'é'"),
        ("a4,train,naevus,1,0,1", "diagnosis", "'naevus'"),
        ("a4,train,nevus,yes,0,1", "streaks", "'yes'"),
        ("a4,train,nevus,1,1.0,1", "globules", "'1.0'"),
        ("a4,train,nevus,1,0,-1", "hair", "'-1'"),
        ("a4,,nevus,1,0,1", "split", "a blank"),
        ("a4,../x,nevus,1,0,1", "split", "'../x'"),
        ("missing,train,nevus,1,0,1", "image_id", "no image file"),
        ("a4,train,nevus,1", None, "4 cells"),
        ('a4,train,"nevus,1,0,1', None, "broken CSV"),
        (f"a4,train,{'n' * 200_000},1,0,1", None, "broken CSV"),
    ],
)
def test_wrong_row_is_named(tmp_path, row, column, found):
    root = write_set(tmp_path, rows=[*ROWS, row])
    Image.new("RGB", (40, 40)).save(root / "images" / "a4.png")
    problem = only_problem(root)
    assert (problem.file, problem.row, problem.column) == ("labels.csv", 5, column)
    assert found in problem.found and len(problem.found) < 100 and problem.expected


def test_row_numbers_are_lines_of_the_file(tmp_path):
    notes = [f"{row},note" for row in ROWS]
    notes[0] = 'a1,train,nevus,1,0,1,"two\nlines"'
    root = write_set(
        tmp_path, header=f"{HEADER},note", rows=[*notes, "", "a1,train,nevus,1,0,1,note"]
    )
    assert only_problem(root).row == 7


def test_missing_and_repeated_columns(tmp_path):
    header = "image_id,split,diagnosis,streaks,hair,hair"
    problems = problems_of(write_set(tmp_path, header=header))
    assert [(p.row, p.column) for p in problems] == [
        (1, "globules"),
        (1, "'hair'"),
        (None, "globules"),  # without the column there is no example to train on either
    ]


def test_semicolons_are_explained(tmp_path):
    root = write_set(tmp_path, header=HEADER.replace(",", ";"), rows=[])
    assert "separated by commas" in problems_of(root)[0].expected


def test_wrong_encoding_is_named_with_its_line(tmp_path):
    root = write_set(tmp_path)
    (root / "labels.csv").write_bytes(f"{HEADER}\n{ROWS[0]}\nn\xe9vus".encode("latin-1"))
    problem = problems_of(root)[0]
    assert (problem.row, problem.expected) == (3, "a CSV table in UTF-8")
    assert "0xe9" in problem.found


def test_missing_labels(tmp_path):
    root = write_set(tmp_path)
    (root / "labels.csv").unlink()
    assert problems_of(root)[0].found == "no readable file"
    assert only_problem(tmp_path / "nowhere").found == "no such folder"


def test_classes_and_concepts_need_an_example_in_train(tmp_path):
    rows = ["a1,train,nevus,1,0,0", "a2,train,nevus,1,,0", "a3,val,melanoma,1,1,0"]
    problems = problems_of(write_set(tmp_path, rows=rows))
    assert [(p.column, p.found) for p in problems] == [
        ("diagnosis", "no row of 'melanoma' in split train"),
        ("globules", "no row with 1 in split train"),
    ]


def test_ambiguous_images(tmp_path):
    root = write_set(tmp_path)
    Image.new("RGB", (40, 40)).save(root / "images" / "train" / "a1.jpg")
    problem = only_problem(root)
    assert problem.found == "images/train/a1.jpg and images/train/a1.png" and problem.row == 2


def test_image_of_another_format_is_named(tmp_path):
    root = write_set(tmp_path)
    (root / "images" / "a3.png").rename(root / "images" / "a3.gif")
    assert only_problem(root).found == "images/a3.gif"


def test_images_are_decoded_on_request(tmp_path):
    root = write_set(tmp_path)
    (root / "images" / "train" / "a2.jpg").write_bytes(b"no picture")
    problem = only_problem(root, check_images=True)
    assert problem.file == "images/train/a2.jpg" and "not a picture" in problem.found
    with pytest.raises(ImageError, match="image a2"):
        load_image(load_dataset(root), 1)


@pytest.mark.parametrize(
    ("box", "column", "found"),
    [
        ("a9,streaks,0,0,1,1", "image_id", "'a9'"),
        ("a1,veil,0,0,1,1", "concept", "'veil'"),
        ("a1,globules,0,0,1,1", "concept", "marks 0 for a1"),
        ("a1,streaks,left,0,1,1", "x_min", "'left'"),
        ("a1,streaks,0,nan,1,1", "y_min", "'nan'"),
        ("a1,streaks,0,0,inf,1", "x_max", "'inf'"),
        ("a1,streaks,0,0,1,1.01", "y_max", "'1.01'"),
        ("a1,streaks,-0.1,0,1,1", "x_min", "'-0.1'"),
        ("a1,streaks,0.5,0,0.5,1", "x_min", "'0.5'"),
        ("a1,streaks,0,0.6,1,0.5", "y_min", "'0.6'"),
        ("a1,streaks,,0,1,1", "x_min", "''"),
        ("a1,streaks,0,0,1", None, "5 cells"),
    ],
)
def test_wrong_box_is_named(tmp_path, box, column, found):
    problem = only_problem(write_set(tmp_path, boxes=["a1,streaks,0,0,1,1", box]))
    assert (problem.file, problem.row, problem.column) == ("boxes.csv", 3, column)
    assert found in problem.found


def test_box_of_an_unknown_label_is_accepted(tmp_path):
    assert load_dataset(write_set(tmp_path, boxes=["a3,streaks,0,0,1,1"])).boxes["a3"]


def test_wrong_masks_are_named(tmp_path):
    root = write_set(tmp_path)
    empty = np.zeros((32, 40), np.uint8)
    write_mask(root, "streaks", "a1", np.zeros((32, 40, 3), np.uint8))  # colour
    write_mask(root, "streaks", "a3", empty.astype(np.uint16))
    write_mask(root, "streaks", "a9", empty)
    write_mask(root, "veil", "a1", empty)
    write_mask(root, "globules", "a1", empty + 255)  # labelled absent
    (root / "masks" / "globules" / "a2.jpg").write_bytes(b"")
    (root / "masks" / ".DS_Store").write_bytes(b"")
    files = [problem.file for problem in problems_of(root)]
    assert files == [
        "masks/globules/a2.jpg",
        "masks/streaks/a1.png",
        "masks/streaks/a3.png",
        "masks/streaks/a9.png",
        "masks/veil",
    ]
    decoded = [problem.file for problem in problems_of(root, check_images=True)]
    assert "masks/globules/a1.png" in decoded and len(decoded) == 6


def test_damaged_mask_is_found_by_decoding(tmp_path):
    root = write_set(tmp_path)
    write_mask(root, "streaks", "a1", np.zeros((32, 40), bool))
    path = root / "masks" / "streaks" / "a1.png"
    path.write_bytes(path.read_bytes()[:40])
    assert only_problem(root, check_images=True).file == "masks/streaks/a1.png"


def test_empty_mask_of_an_absent_concept_is_accepted(tmp_path):
    root = write_set(tmp_path)
    write_mask(root, "globules", "a1", np.zeros((32, 40), bool))
    load_dataset(root, check_images=True)


def test_every_problem_is_listed_and_fifty_are_printed(tmp_path):
    rows = [f"b{row},train,naevus,1,2,0" for row in range(40)]
    with pytest.raises(DatasetError) as caught:
        load_dataset(write_set(tmp_path, rows=[*ROWS, *rows], boxes=["a1,veil,0,0,1,1"]))
    problems, lines = caught.value.problems, str(caught.value).splitlines()
    assert len(problems) == 40 * 3 + 1  # diagnosis, label and image of each row, and the box
    assert len(lines) == 51 and lines[-1] == "… and 71 more"
    assert lines[0] == (
        "labels.csv, row 5, column diagnosis: found 'naevus', "
        "expected one of nevus, melanoma, or blank"
    )


def test_a_problem_is_one_printable_line():
    assert str(Problem("masks/a\nb\udcff.txt", 3, "x", "1", "0")) == (
        "masks/a�b�.txt, row 3, column x: found 1, expected 0"
    )


def test_region_comes_from_the_mask_before_the_boxes(tmp_path):
    root = write_set(tmp_path, boxes=["a1,streaks,0,0,1,1"])
    mask = np.zeros((32, 40), np.uint8)
    mask[:16, :10] = 255
    write_mask(root, "streaks", "a1", mask)
    region = region_mask(load_dataset(root), "streaks", "a1", 8)
    expected = np.zeros((8, 8), bool)
    expected[:4, :2] = True
    assert region.dtype == bool
    np.testing.assert_array_equal(region, expected)


def test_region_is_the_union_of_the_boxes_of_the_concept(tmp_path):
    boxes = ["a3,streaks,0,0,0.5,0.25", "a3,streaks,0.9,0.99,1,1", "a3,globules,0,0,1,1"]
    region = region_mask(load_dataset(write_set(tmp_path, boxes=boxes)), "streaks", "a3", 4)
    expected = np.zeros((4, 4), bool)
    expected[0, :2] = True
    expected[3, 3] = True  # smaller than a pixel, and still there
    np.testing.assert_array_equal(region, expected)


def test_region_without_mask_or_box_is_unknown(tmp_path):
    dataset = load_dataset(write_set(tmp_path, boxes=["a1,streaks,0,0,1,1"]))
    assert region_mask(dataset, "streaks", "a2", 8) is None
    assert region_mask(dataset, "globules", "a1", 8) is None


def test_artefacts_have_masks_too(tmp_path):
    root = write_set(tmp_path)
    mask = np.zeros((32, 40), np.uint8)
    mask[16:] = 255
    write_mask(root, "hair", "a1", mask)
    write_mask(root, "hair", "a2", mask)  # unknown
    region = region_mask(load_dataset(root, check_images=True), "hair", "a1", 4)
    assert region.tolist() == [[False] * 4] * 2 + [[True] * 4] * 2
    write_mask(root, "hair", "a3", mask)  # labelled absent
    assert only_problem(root, check_images=True).file == "masks/hair/a3.png"


def test_mask_paths_cannot_leave_the_folder(tmp_path):
    dataset = load_dataset(write_set(tmp_path))
    with pytest.raises(ValueError, match="cannot be the id"):
        dataset.mask_path("streaks", "../../dataset")
    with pytest.raises(ValueError, match="cannot be the id"):
        dataset.lesion_mask_path("../dataset")
    with pytest.raises(ValueError, match="No concept or artefact"):
        dataset.mask_path("../x", "a1")


def test_lesion_masks_lie_together_or_by_split(tmp_path):
    dataset = load_dataset(write_set(tmp_path))
    assert dataset.lesion_mask_path("a1") is None
    for place in ("lesion_masks", "lesion_masks/train"):
        (tmp_path / place).mkdir()
    (tmp_path / "lesion_masks" / "train" / "a1.png").touch()
    (tmp_path / "lesion_masks" / "a3.png").touch()
    assert dataset.lesion_mask_path("a1") == tmp_path / "lesion_masks" / "train" / "a1.png"
    assert dataset.lesion_mask_path("a3") == tmp_path / "lesion_masks" / "a3.png"


@given(st.lists(st.lists(st.text(max_size=6), max_size=7), max_size=5))
@settings(deadline=None, max_examples=60)
def test_any_table_loads_or_is_refused(tmp_path_factory, rows):
    root = write_set(tmp_path_factory.mktemp("any"))
    with (root / "labels.csv").open("a", newline="", encoding="utf-8", errors="replace") as stream:
        csv.writer(stream).writerows(rows)
    try:
        dataset = load_dataset(root)
    except DatasetError as error:
        assert error.problems and str(error)
    else:
        assert dataset.image_ids == ("a1", "a2", "a3")


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_any_bytes_are_refused(tmp_path_factory, data):
    for name in ("labels.csv", "boxes.csv", "dataset.json"):
        root = write_set(tmp_path_factory.mktemp("any"))
        (root / name).write_bytes(data)
        assert problems_of(root)[0].file == name


def test_json_round_trip(tmp_path):
    path = tmp_path / "new" / "value.json"
    write_json_atomic(path, {"Δ": [1, None, 0.5]})
    assert read_json(path, 100) == {"Δ": [1, None, 0.5]}
    assert "Δ" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="larger than the 5 bytes"):
        read_json(path, 5)
    with pytest.raises(ValueError):
        write_json_atomic(path, float("nan"))


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.bin"
    write_bytes_atomic(path, b"old")
    with pytest.raises(RuntimeError), atomic_target(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".bin"
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a POSIX feature")
def test_written_file_is_readable_like_any_other(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_bytes(b"")
    write_bytes_atomic(atomic, b"")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
