"""A folder becomes a project: every image is found, or it is said why not."""

import io
import json
import shutil

import numpy as np
import pytest
from dicoms import dicom
from PIL import Image

from csr_core.annotation.folders import FolderError, drawn_size, list_images, plan_project
from csr_core.annotation.projects import NewCase
from csr_core.annotation.records import Vocabulary
from csr_core.imaging import ImageError, declared_size, decode_image

ORIENTATION = 0x0112


def picture(path, height=40, width=60, **saving):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), "teal").save(path, **saving)
    return path


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
def test_the_declared_size_is_that_of_the_decoded_picture(tmp_path, suffix, orientation):
    saving = {} if orientation is None or suffix == "bmp" else {"exif": turned(orientation)}
    path = picture(tmp_path / f"a.{suffix}", **saving)
    size = declared_size(path)
    assert size == decode_image(path).shape[:2]
    assert size == ((60, 40) if saving and orientation in (6, 8) else (40, 60))


def test_exif_after_the_pixels_of_a_png_counts(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (60, 40)).save(stream, "PNG", exif=turned(6))
    data = stream.getvalue()
    at = data.index(b"eXIf") - 4
    length = int.from_bytes(data[at : at + 4]) + 12
    chunk, rest = data[at : at + length], data[:at] + data[at + length :]
    path = tmp_path / "late.png"
    path.write_bytes(rest[:-12] + chunk + rest[-12:])  # before IEND
    assert declared_size(path) == decode_image(path).shape[:2] == (60, 40)


def test_the_size_of_a_dicom_file(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(np.zeros((40, 60), np.uint8)))
    assert declared_size(path) == decode_image(path).shape[:2] == (40, 60)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"text"])
def test_what_declares_no_size_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"^mine .*\.$"):
        declared_size(path, what="mine")


def test_regions_of_large_images_are_drawn_smaller():
    assert drawn_size(40, 60) == (40, 60)
    assert drawn_size(2048, 2048) == (2048, 2048)
    assert drawn_size(4096, 1000) == (2048, 500)
    assert drawn_size(1, 9000) == (1, 2048)


def test_any_folder_of_images(tmp_path):
    picture(tmp_path / "b.PNG")
    picture(tmp_path / "a.jpg", 4096, 64)
    picture(tmp_path / "test" / "c.png")
    picture(tmp_path / "validation" / "deep" / "d.png")
    picture(tmp_path / "elsewhere" / "e.png")
    (tmp_path / "f.dcm").write_bytes(dicom(np.zeros((40, 60), np.uint8)))
    picture(tmp_path / ".hidden" / "g.png")
    picture(tmp_path / ".h.png")
    listing = list_images(tmp_path)
    assert listing.cases == (
        NewCase("a", "a.jpg", "train", 2048, 32),
        NewCase("b", "b.PNG", "train", 40, 60),
        NewCase("f", "f.dcm", "train", 40, 60),
        NewCase("e", "elsewhere/e.png", "train", 40, 60),
        NewCase("c", "test/c.png", "test", 40, 60),
        NewCase("d", "validation/deep/d.png", "val", 40, 60),
    )
    assert listing.problems == ()


def test_what_is_left_out_is_said(tmp_path):
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "a.png")
    picture(tmp_path / "with space.png")
    picture(tmp_path / "line\nbreak" / "b.png")
    picture(tmp_path / "small.png", 20, 20)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("by hand")
    listing = list_images(tmp_path)
    assert [case.image_id for case in listing.cases] == ["a"]
    told = "\n".join(listing.problems)
    assert len(listing.problems) == len(told.splitlines()) == 6
    for said in (
        "'a.png' was left out: 'a.jpg' has the same name",
        "'with space.png' was left out",
        r"'line\nbreak/b.png' was left out",
        "'small.png' is 20 × 20 pixels",
        "'empty.png' is empty",
        "No images and left out (1): 'notes.txt'",
    ):
        assert said in told


def test_a_data_set_gives_ids_splits_and_words(phantom_folder):
    project, listing = plan_project("Phantom", phantom_folder)
    content = json.loads((phantom_folder / "dataset.json").read_text())
    assert project.folder == phantom_folder.resolve()
    assert project.data_name == content["name"]
    assert project.vocabulary == Vocabulary(tuple(content["concepts"]), tuple(content["classes"]))
    assert len(listing.cases) == 96
    assert sum(case.split == "train" for case in listing.cases) == 68
    assert {(case.height, case.width) for case in listing.cases} == {(64, 64)}
    assert all((phantom_folder / case.path).is_file() for case in listing.cases)
    assert listing.problems == ()


def test_faults_of_a_data_set_are_told_and_the_rest_is_listed(phantom_folder, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(phantom_folder, folder)
    lines = (folder / "labels.csv").read_text().splitlines()
    lines[1] = f"nowhere{lines[1]}"
    (folder / "labels.csv").write_text("\n".join(lines))
    listing = list_images(folder)
    assert len(listing.cases) == 95
    assert len(listing.problems) == 1
    assert "labels.csv, row 2, column image_id" in listing.problems[0]


def test_words_given_go_before_those_of_the_data_set(phantom_folder):
    project, _ = plan_project("P", phantom_folder, ["ulcer"], ["benign", "malignant"], "Look.")
    assert project.vocabulary == Vocabulary(("ulcer",), ("benign", "malignant"))
    assert project.instructions == "Look."


def test_what_is_no_project_is_refused(tmp_path):
    words = (["ulcer"], ["benign", "malignant"])
    with pytest.raises(FolderError, match="no folder"):
        plan_project("P", tmp_path / "nowhere", *words)
    with pytest.raises(FolderError, match="no image to annotate"):
        plan_project("P", tmp_path, *words)
    picture(tmp_path / "a.png")
    assert plan_project("P", tmp_path, *words)[1].cases
    for concepts, classes in (([], words[1]), (words[0], ["benign"])):
        with pytest.raises(FolderError, match="at least one concept and two classes"):
            plan_project("P", tmp_path, concepts, classes)
    with pytest.raises(FolderError, match="can't be called split"):
        plan_project("P", tmp_path, ["split"], words[1])
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(FolderError, match=r"dataset\.json, column name"):
        plan_project("P", tmp_path)
