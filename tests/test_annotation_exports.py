"""What leaves the store, file by file; values by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from annotating import AT, H, W, marked, project_in, read, spot
from dicoms import SECRET, dicom
from PIL import Image

from csr_core.annotation.exports import FORMATS, ExportError, export
from csr_core.annotation.records import ConceptMark
from csr_core.annotation.rle import region_of_runs, runs_of
from csr_core.annotation.store import Case, Project
from csr_core.datasets import load_dataset, region_mask
from csr_core.datasets.regions import Box

BOX = Box("pigment network", 0.25, 0.5, 0.75, 1.0)


@pytest.fixture
def exported(tmp_path):
    """Writes three cases in a format: two done, one not yet."""
    project, cases = project_in(tmp_path / "images", 3)
    reads = [
        read(
            cases[0],
            "Anna",
            marked(
                streaks=ConceptMark("yes", spot()),
                pigment_network=ConceptMark(None, None, (BOX,)),
                diagnosis="melanoma",
                confidence=4,
                comment="=cmd|'/c calc'!A1\nsecond line",
            ),
        ),
        read(cases[1], "Anna", marked("open", diagnosis="nevus")),
        read(cases[2], "@Ben", marked(streaks=ConceptMark("no"), flagged=True)),
        read(cases[2], "Carl", marked("skipped", comment="blurred")),
    ]

    def write(kind, out=None):
        target = out or tmp_path / "out"
        return target, export(project, iter(reads), target, kind)

    return write


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


class TestFolder:
    def test_it_is_a_data_set(self, exported):
        out, written = exported("folder")
        assert written == 2
        data = load_dataset(out, check_images=True, for_training=False)
        assert (data.name, data.classes) == ("Moles", ("nevus", "melanoma"))
        assert data.image_ids == ("image_0", "image_2")
        assert data.splits == ("train", "val")
        assert data.diagnoses.tolist() == [1, -1]
        assert data.concept_labels.tolist() == [[1, 1], [0, -1]]
        assert data.boxes == {"image_0": (BOX,)}
        mask = np.asarray(Image.open(data.mask_path("streaks", "image_0")))
        assert mask.shape == (H, W)
        assert mask.sum() == 8 * 17
        assert mask[2:10, 3:20].all()

    def test_a_mask_includes_the_boxes_which_training_would_not_see_beside_it(self, tmp_path):
        project, [case] = project_in(tmp_path / "images")
        mark = ConceptMark("yes", spot(0, 0, 3, 3), (BOX,))
        export(project, [read(case, "A", marked(pigment_network=mark))], tmp_path / "out", "folder")
        data = load_dataset(tmp_path / "out", for_training=False)
        region = region_mask(data, "pigment network", "image_0", 4)
        assert region.tolist() == [
            [False] * 4,
            [False] * 4,
            [False, True, True, False],
            [False, True, True, False],
        ]

    def test_what_the_tables_can_not_hold_is_kept_beside_them(self, exported):
        out, _ = exported("folder")
        lines = [json.loads(line) for line in (out / "annotations.jsonl").open()]
        assert [(line["image_id"], line["reader"]) for line in lines] == [
            *(("image_0", "Anna"), ("image_0", None), ("image_1", "Anna")),
            *(("image_2", "@Ben"), ("image_2", "Carl"), ("image_2", None)),
        ]
        assert lines[0]["at"] == AT.isoformat()
        assert lines[0]["annotation"] == lines[1]["annotation"]
        assert lines[0]["annotation"]["confidence"] == 4
        assert lines[5]["annotation"]["flagged"] is True

    def test_images_are_linked_not_copied(self, exported, tmp_path):
        out, _ = exported("folder")
        assert (out / "images/train/image_0.png").samefile(tmp_path / "images/image_0.png")
        assert not (out / "images/train/image_1.png").exists()

    def test_licence_and_source_are_passed_on(self, exported, tmp_path):
        told = {"name": "Moles", "licence": "CC0-1.0", "source": "a clinic"}
        (tmp_path / "images" / "dataset.json").write_text(json.dumps(told))
        out, _ = exported("folder")
        assert json.loads((out / "dataset.json").read_text()) == told | {
            "classes": ["nevus", "melanoma"],
            "concepts": ["streaks", "pigment network"],
        }


class TestCoco:
    def test_instances(self, exported):
        out, written = exported("coco")
        content = json.loads((out / "annotations.json").read_text())
        assert written == len(content["images"]) == 2
        assert [each["name"] for each in content["categories"]] == ["streaks", "pigment network"]
        image = content["images"][0]
        assert (image["file_name"], image["height"], image["width"]) == ("image_0.png", H, W)
        assert (out / "images" / "image_0.png").is_file()
        assert image["csr_studio"]["presence"] == {"streaks": "yes", "pigment network": None}
        assert content["images"][1]["csr_studio"]["flagged"] is True
        mask, box = content["annotations"]
        assert (mask["image_id"], mask["category_id"], mask["area"]) == (1, 1, 136)
        assert mask["bbox"] == [3, 2, 17, 8]
        assert mask["segmentation"]["size"] == [H, W]
        region = region_of_runs(runs_of(mask["segmentation"]["counts"]), H, W)
        assert (region == spot().pixels()).all()
        assert (box["category_id"], box["bbox"], box["area"]) == (2, [10, 16.5, 20, 16.5], 330)
        assert box["segmentation"] == [[10, 16.5, 30, 16.5, 30, 33, 10, 33]]


class TestMasks:
    def test_a_folder_a_concept_and_an_index(self, exported):
        out, written = exported("masks")
        assert written == 2
        assert rows_of(out / "index.csv") == [
            ["image_id", "split", "concept", "file", "height", "width", "pixels"],
            ["image_0", "train", "streaks", "streaks/image_0.png", "33", "40", "136"],
            [
                *("image_0", "train", "pigment network", "pigment network/image_0.png"),
                *("33", "40", "320"),
            ],
        ]
        mask = np.asarray(Image.open(out / "pigment network" / "image_0.png"))
        assert mask[17:, 10:30].all()
        assert mask.sum() == 320  # rows 17 to 32: the centre of row 16 lies on the edge

    def test_masks_have_the_size_of_a_large_image(self, tmp_path):
        Image.new("L", (4096, 100)).save(tmp_path / "wide.png")
        project, _ = project_in(tmp_path)
        case = Case(1, "P", "wide", "wide.png", "train", 50, 2048, 0)
        mark = ConceptMark("yes", spot(0, 0, 1, 2, 50, 2048))
        export(project, [read(case, "A", marked(streaks=mark))], tmp_path / "out", "masks")
        mask = np.asarray(Image.open(tmp_path / "out" / "streaks" / "wide.png"))
        assert mask.shape == (100, 4096)
        assert mask[:2, :4].all()
        assert mask.sum() == 8


class TestTable:
    def test_a_row_a_case_and_reader_and_no_formula(self, exported, tmp_path):
        out, written = exported("csv", tmp_path / "all.csv")
        header, *rows = rows_of(out)
        assert written == len(rows) == 4
        first = dict(zip(header, rows[0], strict=True))
        assert first == {
            "image_id": "image_0",
            "reader": "Anna",
            "split": "train",
            "status": "done",
            "flagged": "",
            "diagnosis": "melanoma",
            "confidence": "4",
            "comment": "'=cmd|'/c calc'!A1\nsecond line",
            "changed": AT.isoformat(),
            "streaks": "yes",
            "streaks area": "0.103030",  # 136 of 1320 pixels
            "pigment network": "yes",
            "pigment network area": "0.242424",
        }
        assert [row[1] for row in rows] == ["Anna", "Anna", "'@Ben", "Carl"]
        assert [row[3] for row in rows] == ["done", "open", "done", "skipped"]

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
    def test_every_start_of_a_formula(self, tmp_path, start):
        project, [case] = project_in(tmp_path / "images")
        told = marked(comment=f"{start}1")
        export(project, [read(case, "A", told)], tmp_path / "a.csv", "csv")
        assert rows_of(tmp_path / "a.csv")[1][7] == f"'{start}1"

    def test_an_earlier_table_is_replaced_and_nothing_else(self, exported, tmp_path):
        out, _ = exported("csv", tmp_path / "all.csv")
        before = out.read_bytes()
        exported("csv", out)
        assert out.read_bytes() == before
        out.write_text("image_id,mine")
        for target in (out, tmp_path / "all.txt", tmp_path / "images"):
            with pytest.raises(ExportError, match="something else"):
                exported("csv", target)
        assert out.read_text() == "image_id,mine"


class TestImageFolder:
    def test_metadata_beside_the_images_of_a_split(self, exported):
        out, written = exported("imagefolder")
        assert written == 2
        assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
            *("README.md", "export.json", "train/image_0.png", "train/metadata.jsonl"),
            *("validation/image_2.png", "validation/metadata.jsonl"),
        ]
        [row] = [json.loads(line) for line in (out / "train" / "metadata.jsonl").open()]
        objects = json.loads(row.pop("objects"))
        assert row == {
            "file_name": "image_0.png",
            "image_id": "image_0",
            "concept_streaks": "yes",
            "concept_pigment network": "yes",
            "diagnosis": "melanoma",
            "confidence": 4,
            "comment": "=cmd|'/c calc'!A1\nsecond line",
            "flagged": False,
        }
        assert objects["category"] == ["streaks", "pigment network"]
        assert objects["bbox"] == [[3, 2, 17, 8], [10, 16.5, 20, 16.5]]
        assert (region_of_runs(runs_of(objects["rle"][0]), H, W) == spot().pixels()).all()
        assert objects["rle"][1] == ""

    def test_types_are_the_same_in_every_split(self, exported):
        out, _ = exported("imagefolder")
        types = set()
        for path in out.glob("*/metadata.jsonl"):
            row = json.loads(path.read_text())
            types.add(tuple((key, type(value)) for key, value in row.items()))
        assert len(types) == 1
        assert type(None) not in {kind for _, kind in types.pop()}


class TestPlaces:
    @pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "csv"])
    def test_an_earlier_export_is_replaced_whatever_its_kind(self, exported, kind):
        out, _ = exported("folder")
        exported(kind, out)
        assert json.loads((out / "export.json").read_text())["csr_studio_export"] == kind
        assert [path for path in out.parent.iterdir() if path.name.startswith(".")] == []

    @pytest.mark.parametrize("kind", FORMATS)
    def test_other_folders_are_not_touched(self, exported, tmp_path, kind):
        other = tmp_path / "other"
        other.mkdir()
        (other / "thesis.txt").write_text("years of work")
        with pytest.raises(ExportError, match=r"other files|something else"):
            exported(kind, other)
        assert [path.name for path in other.iterdir()] == ["thesis.txt"]

    def test_an_export_to_which_somebody_added_is_not_touched(self, exported):
        out, _ = exported("coco")
        (out / "notes.txt").write_text("mine")
        with pytest.raises(ExportError, match="other files"):
            exported("coco", out)

    def test_the_images_themselves_are_never_replaced(self, exported, tmp_path):
        with pytest.raises(ExportError, match="other files"):
            exported("folder", tmp_path / "images")

    def test_a_failed_export_leaves_the_earlier_one(self, exported, tmp_path):
        out, _ = exported("folder")
        before = sorted(out.rglob("*"))
        (tmp_path / "images" / "image_0.png").unlink()
        with pytest.raises(ExportError, match=r"image_0\.png can't be read any more"):
            exported("folder", out)
        assert sorted(out.rglob("*")) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out"]

    @pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "csv"])
    def test_nothing_done_is_nothing_to_write(self, tmp_path, kind):
        project, [case] = project_in(tmp_path / "images")
        for reads in ([], [read(case, "A", marked("open"))]):
            with pytest.raises(ExportError, match="Nothing is done yet"):
                export(project, reads, tmp_path / "out", kind)
        assert not (tmp_path / "out").exists()

    def test_no_row_is_no_table(self, tmp_path):
        project, _ = project_in(tmp_path / "images")
        with pytest.raises(ExportError, match="Nobody"):
            export(project, [], tmp_path / "out.csv", "csv")
        assert not (tmp_path / "out.csv").exists()

    def test_an_unknown_format(self, exported):
        with pytest.raises(ExportError, match="no format 'zip'"):
            exported("zip")

    @pytest.mark.parametrize("kind", ["folder", "coco", "imagefolder"])
    def test_dicom_leaves_as_png_and_says_nothing_of_a_person(self, tmp_path, kind):
        values = np.arange(H * W, dtype=np.uint8).reshape(H, W)
        (tmp_path / "scan.dcm").write_bytes(dicom(values))
        project = Project("P", tmp_path, project_in(tmp_path)[0].vocabulary)
        case = Case(1, "P", "scan", "scan.dcm", "train", H, W, 0)
        out = tmp_path / "out"
        export(project, [read(case, "A", marked(diagnosis="nevus"))], out, kind)
        [image] = out.rglob("scan.*")
        assert image.suffix == ".png"
        assert (np.asarray(Image.open(image))[..., 0] == values).all()
        assert all(SECRET.encode() not in path.read_bytes() for path in files(out))


def files(folder: Path):
    return [path for path in folder.rglob("*") if path.is_file()]
