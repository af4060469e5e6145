"""What comes into the store: round trips lose nothing, foreign files are read or refused."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotating import ANNOTATIONS, WORDS, H, W, marked, project_in, read, spot
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from csr_core.annotation.exports import export
from csr_core.annotation.imports import read_coco, read_folder, read_readings, save_imported
from csr_core.annotation.imports.polygons import fill_polygon
from csr_core.annotation.imports.saving import Imported
from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, Change, ConceptMark
from csr_core.annotation.store import CONSENSUS, Case, NewCase, Store
from csr_core.datasets import load_dataset
from csr_core.datasets.regions import Box

STREAKS_BOX = Box("streaks", 0.25, 0.5, 0.75, 1.0)


def by_id(cases):
    return {case.image_id: case for case in cases}


def sent_around(annotation, kind, reading):
    """What is read back of an annotation that was exported, and the faults found."""
    with tempfile.TemporaryDirectory() as place:
        project, cases = project_in(Path(place) / "images")
        out = Path(place) / "out"
        export(project, [read(cases[0], "Anna", annotation)], out, kind)
        problems = []
        found = list(reading(out, by_id(cases), WORDS, "Ben", problems))
        if kind == "folder":
            load_dataset(out, check_images=True, for_training=False)
    return found, problems


@settings(max_examples=50)
@given(ANNOTATIONS)
@pytest.mark.parametrize(("kind", "reading"), [("folder", read_folder), ("coco", read_coco)])
def test_a_round_trip_loses_nothing(kind, reading, annotation):
    found, problems = sent_around(annotation, kind, reading)
    assert problems == []
    if annotation == Annotation(status="done"):
        assert found == []
    else:
        [only] = found
        assert (only.reader, only.case.image_id) == ("Ben", "image_0")
        assert only.annotation == annotation


@settings(max_examples=25)
@given(st.lists(st.tuples(ANNOTATIONS, st.sampled_from(["open", "done", "skipped"])), max_size=3))
def test_readings_of_every_reader_come_back(said):
    readers = ["Anna", "Ben ‘the eye’", CONSENSUS]
    with tempfile.TemporaryDirectory() as place:
        project, cases = project_in(Path(place) / "images", 2)
        first = read(cases[0], "Zoe", marked(diagnosis="nevus"))
        others = [
            read(cases[1], reader, replace(annotation, status=status))
            for reader, (annotation, status) in zip(readers, said, strict=False)
        ]
        export(project, [first, *others], Path(place) / "out", "folder")
        problems = []
        found = list(read_readings(Path(place) / "out", by_id(cases), WORDS, problems))
    assert problems == []
    assert found == [Imported(each.case, each.reader, each.annotation) for each in (first, *others)]


@pytest.mark.parametrize(("kind", "reading"), [("folder", read_folder), ("coco", read_coco)])
def test_regions_of_large_images_come_back_as_they_were_drawn(tmp_path, kind, reading):
    Image.new("L", (5000, 40)).save(tmp_path / "wide.png")
    project, _ = project_in(tmp_path)
    case = Case(1, "P", "wide", "wide.png", "train", 16, 2048, 0)
    region = np.random.default_rng(0).random((16, 2048)) > 0.5
    annotation = marked(streaks=ConceptMark("yes", Mask.of(region), (STREAKS_BOX,)))
    export(project, [read(case, "Anna", annotation)], tmp_path / "out", kind)
    problems = []
    [found] = reading(tmp_path / "out", {"wide": case}, WORDS, "Anna", problems)
    assert problems == []
    assert found.annotation == annotation


class TestFolder:
    @pytest.fixture
    def exported(self, tmp_path):
        project, cases = project_in(tmp_path / "images", 2)
        mark = ConceptMark("unsure", spot())
        told = marked(streaks=mark, diagnosis="nevus", confidence=3, comment="see")
        other = marked(pigment_network=ConceptMark("no"), diagnosis="melanoma")
        reads = [read(cases[0], "Anna", told), read(cases[1], "Anna", other)]
        export(project, reads, tmp_path / "out", "folder")
        return tmp_path / "out", by_id(cases)

    def read(self, exported):
        problems = []
        out, cases = exported
        found = list(read_folder(out, cases, WORDS, "Ben", problems))
        return [each.annotation for each in found], [str(problem) for problem in problems]

    def test_tables_edited_since_the_export_count(self, exported):
        labels = exported[0] / "labels.csv"
        edited = labels.read_text().replace("image_0,train,nevus,,", "image_0,train,melanoma,1,0")
        labels.write_text(edited)
        (first, second), problems = self.read(exported)
        assert problems == []
        assert first.concepts == {
            "streaks": ConceptMark("yes", spot()),
            "pigment network": ConceptMark("no"),
        }
        assert (first.diagnosis, first.confidence, first.comment) == ("melanoma", None, "see")
        assert second == marked(pigment_network=ConceptMark("no"), diagnosis="melanoma")

    def test_masks_edited_since_the_export_count(self, exported):
        path = exported[0] / "masks" / "streaks" / "image_0.png"
        Image.fromarray(spot(0, 0, 5, 5).pixels()).save(path)
        assert self.read(exported)[0][0].concepts == {
            "streaks": ConceptMark(None, spot(0, 0, 5, 5))
        }
        path.unlink()
        assert self.read(exported)[0][0].concepts == {}

    def test_any_data_set_can_be_read(self, exported):
        (exported[0] / "annotations.jsonl").unlink()
        (first, second), problems = self.read(exported)
        assert problems == []
        assert first == marked(streaks=ConceptMark(None, spot()), diagnosis="nevus")
        assert second == marked(pigment_network=ConceptMark("no"), diagnosis="melanoma")

    def test_artefacts_may_be_the_concepts_of_a_project(self, exported):
        out = exported[0]
        content = json.loads((out / "dataset.json").read_text())
        content |= {"concepts": ["streaks"], "artefacts": ["pigment network", "hair"]}
        (out / "dataset.json").write_text(json.dumps(content))
        header, *rows = (out / "labels.csv").read_text().splitlines()
        lines = [f"{header},hair", *(f"{row},1" for row in rows)]
        (out / "labels.csv").write_text("\n".join(lines))
        (_, second), problems = self.read(exported)
        assert problems == []
        assert second.concepts == {"pigment network": ConceptMark("no")}

    def test_every_fault_is_told_and_the_rest_is_read(self, exported):
        out, _ = exported
        labels = (out / "labels.csv").read_text()
        (out / "labels.csv").write_text(f"{labels}elsewhere,train,nevus,1,0\n")
        with (out / "annotations.jsonl").open("a") as file:
            file.write('{"image_id": "image_1"}\n[[[\n')
            file.write('{"image_id": "image_1", "reader": null, "annotation": {"concepts": 1}}\n')
        content = json.loads((out / "dataset.json").read_text())
        content["classes"] = ["nevus", "melanoma", "wart"]
        (out / "dataset.json").write_text(json.dumps(content))
        found, problems = self.read(exported)
        assert len(found) == 2
        assert len(problems) == 5
        for start, problem in zip(
            [
                "dataset.json, column classes: found 'wart'",
                "annotations.jsonl, row 5: found a line that can't be read (image_id",
                "annotations.jsonl, row 6: found a line that can't be read (Expecting",
                "annotations.jsonl, row 7: found a line that can't be read (An annotation",
                "labels.csv, row 4, column image_id: found 'elsewhere'",
            ],
            problems,
            strict=True,
        ):
            assert problem.startswith(start)

    def test_a_region_of_what_is_absent_is_a_fault(self, exported):
        labels = exported[0] / "labels.csv"
        labels.write_text(labels.read_text().replace("nevus,,", "nevus,0,"))
        found, problems = self.read(exported)
        assert len(found) == 1
        assert "A concept that is absent has no region" in "\n".join(problems)

    def test_readings_are_only_in_exports(self, exported):
        (exported[0] / "annotations.jsonl").unlink()
        problems = []
        assert list(read_readings(*exported, WORDS, problems)) == []
        assert "name the reader" in str(problems[0])


def coco(tmp_path, annotations, images=None, categories=None):
    """Read a file of another tool, of one image unless said otherwise."""
    _, cases = project_in(tmp_path / "images", 2)
    path = tmp_path / "instances.json"
    content = {
        "images": images or [{"id": 7, "file_name": "some/where/image_0.jpg", **size()}],
        "categories": categories or [category(1, "Streaks"), category(2, "pigment_network")],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content))
    problems = []
    found = list(read_coco(path, by_id(cases), WORDS, "Ben", problems))
    return [each.annotation for each in found], [str(problem) for problem in problems]


def category(number, name):
    return {"id": number, "name": name}


def size(height=H, width=W):
    return {"height": height, "width": width}


def mark(category=1, image=7, **others):
    return {"id": 1, "image_id": image, "category_id": category, **others}


class TestCoco:
    def test_polygons_are_united(self, tmp_path):
        square = [3, 2, 20, 2, 20, 10, 3, 10]
        other = [30.0, 20.0, 35.0, 20.0, 35.0, 25.0, 30.0, 25.0]
        found, problems = coco(
            tmp_path,
            [mark(segmentation=[square, other]), mark(segmentation=[square], bbox=[0, 0, 1, 1])],
        )
        union = Mask.of(spot().pixels() | spot(20, 30, 25, 35).pixels())
        assert problems == []
        assert found == [marked(streaks=ConceptMark("yes", union))]

    def test_run_lengths_compressed_or_not(self, tmp_path):
        region = np.zeros((H, W), bool)
        region[1:3, 0] = True
        runs = {"size": [H, W], "counts": [1, 2, H * W - 3]}
        text = {"size": [H, W], "counts": "12UY1"}
        for segmentation in (runs, text):
            found, problems = coco(tmp_path, [mark(2, segmentation=segmentation, iscrowd=1)])
            assert problems == []
            assert found == [marked(pigment_network=ConceptMark("yes", Mask.of(region)))]

    def test_boxes_are_cut_at_the_edge(self, tmp_path):
        marks = [mark(bbox=[10, 16.5, 20, 16.5]), mark(bbox=[-5, 0, 15, 100], segmentation=[])]
        found, problems = coco(tmp_path, marks)
        assert problems == []
        boxes = (STREAKS_BOX, Box("streaks", 0, 0, 0.25, 1))
        assert found == [marked(streaks=ConceptMark("yes", None, boxes))]

    def test_images_of_another_size_are_scaled(self, tmp_path):
        large = [{"id": 7, "file_name": "image_0.png", **size(2 * H, 2 * W)}]
        square = [6, 4, 40, 4, 40, 20, 6, 20]
        found, problems = coco(tmp_path, [mark(segmentation=[square])], large)
        assert problems == []
        assert found == [marked(streaks=ConceptMark("yes", spot()))]

    def test_a_box_moved_after_the_export_counts(self, tmp_path):
        project, [case] = project_in(tmp_path / "images")
        annotation = marked(streaks=ConceptMark("yes", None, (STREAKS_BOX,)))
        export(project, [read(case, "Anna", annotation)], tmp_path / "out", "coco")
        path = tmp_path / "out" / "annotations.json"
        content = json.loads(path.read_text())
        content["annotations"][0]["bbox"] = [0, 0, 20, 33]
        path.write_text(json.dumps(content))
        [found] = read_coco(path, by_id([case]), WORDS, "Anna", [])
        assert found.annotation.concepts["streaks"].boxes == (Box("streaks", 0, 0, 0.5, 1),)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"segmentation": [[0, 0, 1, 1]]}, "a polygon of less than three corners"),
            ({"segmentation": [[0, 0, 1, 1, 2]]}, "a polygon of less than three corners"),
            ({"segmentation": [[0, 0, "x", 1, 2, 2]]}, "not 6 numbers"),
            ({"segmentation": [[0, 0, 1e300, 1, 2, 2]]}, "not 6 numbers"),
            ({"segmentation": [[0, 0, 10**400, 1, 2, 2]]}, "not 6 numbers"),
            ({"segmentation": [[0, 0, True, 1, 2, 2]]}, "not 6 numbers"),
            ({"segmentation": [[]] * 1001}, "neither up to 1000 polygons"),
            ({"segmentation": [[0] * 200_002]}, "more than 100000 corners"),
            ({"segmentation": "text"}, "neither up to"),
            ({"segmentation": {"size": [1, 1], "counts": [1]}}, "run lengths of 1 × 1"),
            ({"segmentation": {"size": [H, W], "counts": [1]}}, "don't fill"),
            ({"segmentation": {"size": [H, W], "counts": [-1, H * W + 1]}}, "don't fill"),
            ({"segmentation": {"size": [H, W], "counts": [0.5]}}, "whole numbers"),
            ({"segmentation": {"size": [H, W], "counts": "PPP"}}, "cut short"),
            ({"segmentation": {"size": [H, W], "counts": [1e9]}}, "whole numbers"),
            ({"bbox": [0, 0, 0, 5]}, "without area"),
            ({"bbox": [100, 100, 5, 5]}, "without area"),
            ({"bbox": [0, 0, 5]}, "not 4 numbers"),
            ({}, "not 4 numbers"),
            ({"category_id": 9, "bbox": [0, 0, 5, 5]}, "annotations[0].category_id"),
            ({"category_id": [], "bbox": [0, 0, 5, 5]}, "annotations[0].category_id"),
            ({"image_id": 8, "bbox": [0, 0, 5, 5]}, "annotations[0].image_id"),
            ({"image_id": {}, "bbox": [0, 0, 5, 5]}, "annotations[0].image_id"),
        ],
    )
    def test_a_bad_entry_is_told_and_the_rest_is_read(self, tmp_path, wrong, said):
        good = mark(2, bbox=[10, 16.5, 20, 16.5])
        found, problems = coco(tmp_path, [mark() | wrong, good])
        assert len(problems) == 1
        assert said in problems[0]
        assert len(problems[0]) < 300
        assert [list(annotation.concepts) for annotation in found] == [["pigment network"]]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"height": 10}, "proportion to 33 × 40"),
            ({"height": None}, "proportion"),
            ({"height": -33, "width": -40}, "proportion"),
            ({"height": 33_000, "width": 40_000}, "proportion"),
            ({"file_name": "elsewhere.png"}, "a file named by the id"),
            ({"file_name": 5}, "a file named by the id"),
            ({"file_name": "other/image_0.png"}, "image_0 only once"),
            ({"id": None}, "images[1].id"),
            ({"id": 7}, "images[1].id"),
            ({"csr_studio": {"confidence": 9}}, "The confidence is"),
            ({"csr_studio": {"presence": {"streaks": "maybe"}}}, "the presence 'maybe'"),
        ],
    )
    def test_a_bad_image_is_told(self, tmp_path, wrong, said):
        images = [
            {"id": 7, "file_name": "image_0.png", **size()},
            {"id": 8, "file_name": "image_1.png", **size()} | wrong,
        ]
        found, problems = coco(tmp_path, [mark(bbox=[10, 16.5, 20, 16.5])], images)
        assert len(found) == 1
        assert len(problems) == 1
        assert said in problems[0]

    def test_categories_the_project_does_not_have(self, tmp_path):
        categories = [category(1, "streaks"), category(1, "x"), category(3, "cat")]
        found, problems = coco(
            tmp_path, [mark(1, bbox=[1, 1, 9, 9]), mark(3, bbox=[1, 1, 9, 9])], None, categories
        )
        assert [list(annotation.concepts) for annotation in found] == [["streaks"]]
        assert len(problems) == 2
        assert "categories[1].id" in problems[0]
        assert "categories[2].name: found 'cat'" in problems[1]

    def test_too_many_boxes(self, tmp_path):
        found, problems = coco(tmp_path, [mark(bbox=[1, 1, 9, 9])] * 201)
        assert found == []
        assert "At most 200 boxes" in problems[0]

    @pytest.mark.parametrize(
        "content", ["", "[]", "[[[[", '{"images": 5}', '{"images": [5], "annotations": [null]}']
    )
    def test_other_files(self, tmp_path, content):
        path = tmp_path / "x.json"
        path.write_text(content)
        problems = []
        assert list(read_coco(path, {}, WORDS, "Ben", problems)) == []
        assert problems
        assert list(read_coco(tmp_path / "none.json", {}, WORDS, "Ben", problems)) == []


class TestPolygons:
    def test_pixels_whose_centre_is_inside(self):
        triangle = np.array([[0, 0], [4, 0], [0, 4]], float)
        # The centres (0.5 + i, 0.5 + j) with x + y < 4; those on the slope count as outside.
        assert fill_polygon(triangle, 5, 5).astype(int).tolist() == [
            [1, 1, 1, 0, 0],
            [1, 1, 0, 0, 0],
            [1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
        ]

    def test_crossing_itself_and_leaving_the_image(self):
        bow = np.array([[-4, 0], [4, 4], [4, 0], [-4, 4]], float)
        assert fill_polygon(bow, 4, 4).astype(int).tolist() == [
            [0, 0, 0, 1],
            [0, 1, 1, 1],
            [0, 1, 1, 1],
            [0, 0, 0, 1],
        ]

    def test_many_corners_are_a_circle(self):
        angles = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
        circle = np.stack([50 + 40 * np.cos(angles), 50 + 40 * np.sin(angles)], axis=1)
        assert fill_polygon(circle, 100, 100).sum() == pytest.approx(np.pi * 40**2, rel=0.005)

    @given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 6), st.integers(1, 6))
    def test_rectangles_on_the_grid_are_exact(self, left, top, across, down):
        right, bottom = left + across, top + down
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
        expected = np.zeros((8, 9), bool)
        expected[top:bottom, left:right] = True
        assert (fill_polygon(corners, 8, 9) == expected).all()
        assert (fill_polygon(corners[::-1], 8, 9) == expected).all()


class TestSaving:
    @pytest.fixture
    def store(self, tmp_path):
        project, cases = project_in(tmp_path / "images", 2)
        store = Store(tmp_path / "annotations.db")
        fields = ("image_id", "path", "split", "height", "width")
        new = [NewCase(**{field: getattr(case, field) for field in fields}) for case in cases]
        store.create_project(project, new)
        yield store
        store.close()

    def test_marks_become_history_with_their_origin(self, store):
        case = store.case_of("P", "image_0")
        annotation = marked(
            streaks=ConceptMark("yes", spot()), diagnosis="nevus", comment="x", flagged=True
        )
        assert save_imported(store, [Imported(case, "Ben", annotation)]) == (1, 0)
        assert store.annotation(case.id, "Ben") == annotation
        events = store.history(case.id, "Ben")
        assert {event.change.origin for event in events} == {"import"}
        assert events[-1].change.field == "status"

    def test_what_a_reader_marked_stays(self, store):
        case = store.case_of("P", "image_0")
        store.save(case.id, "Ben", Change("diagnosis", "nevus"), "key")
        imported = [Imported(case, "Ben", marked(diagnosis="melanoma"))]
        assert save_imported(store, imported) == (0, 1)
        assert store.annotation(case.id, "Ben") == marked("open", diagnosis="nevus")
        assert save_imported(store, imported, replace=True) == (1, 0)
        assert store.annotation(case.id, "Ben") == marked(diagnosis="melanoma")

    def test_an_import_that_was_cut_short_goes_on(self, store):
        case = store.case_of("P", "image_0")
        part = Change("concept", ConceptMark("no"), "streaks", "import")
        store.save(case.id, "Ben", part, "key")
        annotation = marked(pigment_network=ConceptMark("unsure"), diagnosis="nevus")
        assert save_imported(store, [Imported(case, "Ben", annotation)]) == (1, 0)
        assert store.annotation(case.id, "Ben") == annotation
        before = store.history(case.id, "Ben")
        save_imported(store, [Imported(case, "Ben", annotation)])
        assert store.history(case.id, "Ben") == before

    def test_what_was_agreed_on_comes_in_too(self, store):
        case = store.case_of("P", "image_0")
        annotation = marked(diagnosis="nevus")
        save_imported(store, [Imported(case, CONSENSUS, annotation)])
        assert store.annotation(case.id, CONSENSUS) == annotation

    def test_a_store_can_be_sent_to_another(self, store, tmp_path):
        first, second = store.cases("P")
        unsure = marked(streaks=ConceptMark("unsure"), comment="two\nlines “quoted”")
        left_open = marked("open", pigment_network=ConceptMark("yes", spot(), (BOX,)))
        save_imported(store, [Imported(first, "Anna", unsure), Imported(first, "Ben", left_open)])
        save_imported(store, [Imported(second, "Ben", marked("skipped", flagged=True))])
        export(store.project("P"), store.annotations("P"), tmp_path / "out", "folder")
        other = Store(tmp_path / "other.db")
        other.create_project(
            store.project("P"),
            [NewCase(c.image_id, c.path, c.split, c.height, c.width) for c in (first, second)],
        )
        problems = []
        save_imported(
            other, read_readings(tmp_path / "out", by_id(other.cases("P")), WORDS, problems)
        )
        assert problems == []
        said = [
            {(each.case.image_id, each.reader): each.annotation for each in place.annotations("P")}
            for place in (store, other)
        ]
        assert said[0] == said[1]
        assert len(said[0]) == 3
        other.close()


BOX = Box("pigment network", 0.1, 0.2, 0.3, 0.4)
