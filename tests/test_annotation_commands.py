"""The command line of annotations: what works says what it did, what can't is refused."""

import json

import pytest
from annotating import H, W, marked, spot
from PIL import Image
from typer.testing import CliRunner

from csr_core.__main__ import app
from csr_core.annotation.imports import Imported, save_imported
from csr_core.annotation.records import Change, ConceptMark
from csr_core.annotation.store import Store
from csr_core.datasets import load_dataset
from csr_core.datasets.phantom import write_phantom
from csr_core.training.regions import read_regions


def invoke(*arguments):
    return CliRunner().invoke(app, ["annotate", *map(str, arguments)])


def done(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.stderr


WORDS = ("--concept", "streaks", "--concept", "pigment network", "--class", "nevus", "--class")


@pytest.fixture
def place(tmp_path):
    """Options that name a project of three images in a new store."""
    (tmp_path / "images").mkdir()
    for name in "abc":
        Image.new("RGB", (W, H)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "notes.txt").write_text("mine")
    (tmp_path / "told.txt").write_text("Look closely – «été».", encoding="utf-8")
    options = ("--store", tmp_path / "a.db", "--project", "Moles")
    said = done(
        *("create", *options, "--folder", tmp_path / "images", *WORDS, "melanoma"),
        *("--instructions", tmp_path / "told.txt"),
    )
    assert "Project Moles with 3 images" in said
    assert "No images and left out (1): 'notes.txt'" in said
    return options


def mark(place, **readings):
    """Save what readers say, by name: their annotations of the cases in order."""
    store = Store(place[1])
    cases = list(store.cases("Moles"))
    for reader, annotations in readings.items():
        pairs = zip(cases, annotations, strict=False)
        save_imported(store, [Imported(case, reader, said) for case, said in pairs])
    store.close()


def test_a_project_keeps_what_it_was_made_with(place):
    store = Store(place[1])
    project = store.project("moles")
    assert project.vocabulary.concepts == ("streaks", "pigment network")
    assert project.instructions == "Look closely – «été»."
    assert [(case.image_id, case.height, case.width) for case in store.cases("Moles")] == [
        (name, H, W) for name in "abc"
    ]
    store.close()


def test_what_was_marked_is_a_data_set_to_train_on(tmp_path):
    write_phantom(tmp_path / "phantom", 6, 3, size=64, workers=1)
    options = ("--store", tmp_path / "a.db", "--project", "P")
    done("create", *options, "--folder", tmp_path / "phantom")
    source = load_dataset(tmp_path / "phantom", for_training=False)
    said = done("import", *options, "--from", tmp_path / "phantom", "--reader", "Truth")
    assert "6 annotations imported." in said
    said = done("export", *options, "--format", "folder", "--out", tmp_path / "out")
    assert "6 images written" in said
    back = load_dataset(tmp_path / "out", check_images=True, for_training=False)
    assert (back.image_ids, back.splits) == (source.image_ids, source.splits)
    assert (back.concept_labels == source.concept_labels).all()
    assert (back.diagnoses == source.diagnoses).all()
    regions, regions_back = read_regions(source), read_regions(back)
    assert regions.masks.any()
    assert (regions_back.masks == regions.masks).all()
    assert (regions_back.known == regions.known).all()


@pytest.mark.parametrize("kind", ["folder", "coco", "masks", "csv", "imagefolder"])
def test_every_format(place, tmp_path, kind):
    mark(place, Anna=[marked(streaks=ConceptMark("yes", spot()), diagnosis="nevus")])
    out = tmp_path / "out.csv"
    assert f"written to {out}" in done("export", *place, "--format", kind, "--out", out)
    assert out.is_file() == (kind == "csv")


def test_the_chosen_reader_counts(place, tmp_path):
    mark(place, Anna=[marked(diagnosis="nevus")], Ben=[marked(diagnosis="melanoma")])
    for reader, diagnosis in (("anna", 0), ("Ben", 1), (None, -1)):
        chosen = ("--reader", reader) if reader else ()
        done("export", *place, "--format", "folder", "--out", tmp_path / "out", *chosen)
        data = load_dataset(tmp_path / "out", for_training=False)
        assert data.diagnoses.tolist() == [diagnosis]


def test_readers_come_back_under_their_names_or_one(place, tmp_path):
    mark(place, Anna=[marked(diagnosis="nevus")], Ben=[marked("open", comment="?")])
    done("export", *place, "--format", "folder", "--out", tmp_path / "out")
    other = ("--store", tmp_path / "b.db", "--project", "Again")
    done("create", *other, "--folder", tmp_path / "images", *WORDS, "melanoma")
    assert "2 annotations imported" in done("import", *other, "--from", tmp_path / "out")
    named = done("import", *other, "--from", tmp_path / "out", "--reader", "Carl")
    assert "1 annotations imported" in named
    assert done("progress", *other).splitlines() == [
        "Anna: 1 of 3 done, 0 open, 0 skipped, 0 flagged",
        "Ben: 0 of 3 done, 1 open, 0 skipped, 0 flagged",
        "Carl: 1 of 3 done, 0 open, 0 skipped, 0 flagged",
    ]


def test_coco_comes_back(place, tmp_path):
    told = marked(streaks=ConceptMark("unsure", spot()), comment="é", confidence=2, flagged=True)
    mark(place, Anna=[told])
    done("export", *place, "--format", "coco", "--out", tmp_path / "out")
    for number, source in enumerate((tmp_path / "out", tmp_path / "out" / "annotations.json")):
        reader = f"Reader {number}"
        done("import", *place, "--from", source, "--reader", reader)
        store = Store(place[1])
        assert store.annotation(store.case_of("Moles", "a").id, reader) == told
        store.close()
    assert "Name a reader" in refused("import", *place, "--from", tmp_path / "out")


def test_faults_stop_an_import_unless_it_may_be_partial(place, tmp_path):
    mark(place, Anna=[marked(diagnosis="nevus"), marked(diagnosis="melanoma")])
    done("export", *place, "--format", "folder", "--out", tmp_path / "out")
    labels = tmp_path / "out" / "labels.csv"
    labels.write_text(labels.read_text().replace("a,train,nevus", "a,train,wart"))
    options = ("import", *place, "--from", tmp_path / "out", "--reader", "Ben")
    said = refused(*options)
    assert "labels.csv, row 2, column diagnosis: found 'wart'" in said
    assert "--partly" in said
    assert "Ben" not in done("progress", *place)
    said = done(*options, "--partly")
    assert "found 'wart'" in said
    assert "1 annotations imported" in said


def test_what_a_reader_marked_is_replaced_only_on_request(place, tmp_path):
    mark(place, Anna=[marked(diagnosis="nevus")])
    done("export", *place, "--format", "folder", "--out", tmp_path / "out")
    store = Store(place[1])
    case = store.case_of("Moles", "a").id
    store.save(case, "Anna", Change("diagnosis", "melanoma"), "key")
    options = ("import", *place, "--from", tmp_path / "out", "--reader", "Anna")
    assert "1 were left as their readers marked them" in done(*options)
    assert store.annotation(case, "Anna").diagnosis == "melanoma"
    done(*options, "--replace")
    assert store.annotation(case, "Anna").diagnosis == "nevus"
    store.close()


def test_agreement_is_printed_and_written(place, tmp_path):
    mark(
        place,
        Anna=[marked(diagnosis="nevus"), marked(diagnosis="melanoma"), marked(diagnosis="nevus")],
        Ben=[marked(diagnosis="nevus"), marked(diagnosis="melanoma"), marked(diagnosis="melanoma")],
    )
    said = done("agreement", *place, "--json", tmp_path / "agreement.json")
    assert "diagnosis: 0.400" in said  # p_o 2/3, p_e 4/9
    figures = json.loads((tmp_path / "agreement.json").read_text())
    assert figures["pairs"][0]["diagnosis"]["value"] == pytest.approx(0.4)


def test_nothing_to_say_yet(place):
    assert "nothing to compare" in done("agreement", *place)
    assert "Nobody has begun" in done("progress", *place)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("progress",), "no annotations at"),
        (("agreement",), "no annotations at"),
        (("export", "--format", "folder", "--out", "x"), "no annotations at"),
        (("import", "--from", "x", "--reader", "y"), "no annotations at"),
        (("create", "--folder", "/nowhere"), "no folder"),
    ],
)
def test_what_is_not_there(tmp_path, command, said):
    options = ("--store", tmp_path / "none.db", "--project", "P")
    assert said in refused(command[0], *options, *command[1:])
    assert not (tmp_path / "none.db").exists()


def test_other_refusals(place, tmp_path):
    other = (*place[:3], "Other")
    assert "Other" in refused("progress", *other)
    assert "no format 'zip'" in refused("export", *place, "--format", "zip", "--out", "x")
    images = ("--folder", tmp_path / "images")
    assert "already" in refused("create", *place, *images, *WORDS, "melanoma")
    assert "one concept and two classes" in refused("create", *other, *images)
    (tmp_path / "labels.csv").touch()
    consensus = ("--from", tmp_path, "--reader", "Consensus")
    assert "stands for what readers agreed on" in refused("import", *place, *consensus)
