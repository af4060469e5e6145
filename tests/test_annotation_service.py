"""What the annotate screen is answered, and what it is refused."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from csr_core.annotation.helping import HelpService
from csr_core.annotation.masks import Mask
from csr_core.annotation.names import StoreError, StoreFailure
from csr_core.annotation.outcome import OutcomeService
from csr_core.annotation.projects import NewCase, Project
from csr_core.annotation.records import AnnotationError, Vocabulary
from csr_core.annotation.roots import ProjectRoots
from csr_core.annotation.service import AnnotationService
from csr_core.annotation.store import Store
from csr_core.models import Models
from csr_core.pages.annotate import _answering, _for_reader, read_accounts
from csr_core.wire import RequestError

GALLERY = Path(__file__).parents[1] / "assets" / "cases"
CONCEPTS = ("pigment_network", "streaks", "a_concept_with_quite_a_long_name")
NOTHING = {"presence": None, "mask": None, "boxes": []}


@pytest.fixture
def models(tiny_checkpoints: Path) -> Models:
    return Models(tiny_checkpoints)


@pytest.fixture
def work(models: Models, tmp_path: Path) -> Iterator[AnnotationService]:
    service = AnnotationService(str(tmp_path / "annotations.db"), models, GALLERY)
    yield service
    service.store.close()


@pytest.fixture
def helper(work: AnnotationService, models: Models, tmp_path: Path) -> HelpService:
    return HelpService(work, models, tmp_path / "cache")


@pytest.fixture
def outcome(work: AnnotationService, models: Models, tmp_path: Path) -> OutcomeService:
    return OutcomeService(work, models, "annotations.db", tmp_path / "outbox")


def case_of(work: AnnotationService, number: int = 1) -> dict[str, object]:
    image_id = f"phantom-{number}"
    case = work.store.case_of("Demo", image_id).id
    return {"case": case, "project": "Demo", "image_id": image_id}


def save(work: AnnotationService, reader: str, number: int, key: str, **change: object) -> None:
    work.save(reader, {**case_of(work, number), "key": key, "change": change})


def test_the_store_is_made_at_its_first_use_with_the_demo(models: Models, tmp_path: Path):
    file = tmp_path / "annotations.db"
    work = AnnotationService(str(file), models, GALLERY)
    assert not file.exists()
    started = work.start()
    assert file.exists() and started["folders"] == []
    demo = next(project for project in started["projects"] if project["name"] == "Demo")
    assert (demo["concepts"], demo["classes"]) == (list(CONCEPTS), ["nevus", "melanoma"])
    assert demo["cases"] == len(json.loads((GALLERY / "cases.json").read_text()))
    assert [helper["name"] for helper in demo["models"]] == ["first", "second"]
    work.store.close()
    again = AnnotationService(str(file), models, GALLERY)
    assert again.start() == started
    again.store.close()


def test_a_project_named_like_the_demo_keeps_nobody_out(models: Models, tmp_path: Path):
    store = Store(str(tmp_path / "a.db"))
    words = Vocabulary(("streaks",), ("nevus",))
    store.create_project(Project("demo", tmp_path, words), [])
    store.close()
    service = AnnotationService(str(tmp_path / "a.db"), models, GALLERY)
    assert [project["name"] for project in service.start()["projects"]] == ["demo"]
    service.store.close()


def test_a_change_is_in_the_reading_the_queue_and_the_progress(work: AnnotationService):
    save(work, "Ann", 1, "a", field="diagnosis", value="nevus")
    save(work, "Ann", 1, "b", field="status", value="done")
    save(work, "Ben", 1, "c", field="flagged", value=True)
    opened = work.open("Ann", case_of(work))
    assert opened["annotation"]["diagnosis"] == "nevus"
    assert opened["begun"] and opened["others"] == [["Ben", "open"]]
    queue = work.queue("Ben", {"project": "Demo"})
    first = queue["rows"][0]
    assert (first["status"], first["flagged"], first["others"]) == ("open", True, [["Ann", "done"]])
    assert {each["reader"]: each["done"] for each in queue["progress"]} == {"Ann": 1, "Ben": 0}
    assert not work.open("Cid", case_of(work))["begun"]


def test_a_reader_is_the_same_however_the_name_is_spelt(work: AnnotationService):
    save(work, "Ann", 1, "a", field="comment", value="Mine.")
    again = work.open("ann", case_of(work))
    assert again["begun"] and again["annotation"]["comment"] == "Mine."
    assert again["others"] == []


def test_the_worklist_is_walked_as_it_is_filtered(work: AnnotationService):
    save(work, "Ann", 2, "a", field="status", value="skipped")
    view = {"project": "Demo", "status": "new"}
    first = work.open("Ann", {**view, "from": None, "step": 1})
    assert first["image_id"] == "phantom-1"
    after = work.open("Ann", {**view, "from": first["case"], "step": 1})
    assert after["image_id"] == "phantom-3"
    assert work.open("Ann", {**view, "from": first["case"], "step": -1}) == {"case": None}
    with pytest.raises(RequestError, match="filter or order"):
        work.queue("Ann", {**view, "order": "by magic"})


def test_a_consensus_is_kept_apart_and_names_who_settled_it(work: AnnotationService):
    save(work, "Ann", 1, "a", field="diagnosis", value="nevus")
    change = {"field": "diagnosis", "value": "melanoma"}
    asked = {**case_of(work), "key": "b", "change": change, "consensus": True}
    work.save("Ann", asked)
    assert work.open("Ann", case_of(work))["annotation"]["diagnosis"] == "nevus"
    settled = work.open("Ann", {**case_of(work), "consensus": True})
    assert settled["annotation"]["diagnosis"] == "melanoma"
    event = work.store.history(case_of(work)["case"], "consensus")[0]
    assert (event.reader, event.author) == ("consensus", "Ann")
    readings = work.readings(case_of(work))["readings"]
    assert [reading["reader"] for reading in readings] == ["Ann"]


def test_what_does_not_fit_is_refused(work: AnnotationService):
    case = case_of(work)
    small = Mask.of(np.ones((2, 3), dtype=bool)).to_json()
    mark = {"field": "concept", "concept": "streaks", "value": {**NOTHING, "mask": small}}
    with pytest.raises((AnnotationError, StoreError), match=r"pixels|size"):
        work.save("Ann", {**case, "key": "a", "change": mark})
    with pytest.raises(AnnotationError, match="one of nevus, melanoma"):
        save(work, "Ann", 1, "a", field="diagnosis", value="flu")
    good = {"field": "status", "value": "done"}
    for wrong in ({"image_id": "phantom-2"}, {"project": "Other"}):
        with pytest.raises(RequestError, match="doesn't have"):
            work.save("Ann", {**case, **wrong, "key": "a", "change": good})
    assert not work.open("Ann", case)["begun"]


def test_pictures_come_from_the_project_alone(work: AnnotationService, tmp_path: Path):
    inside, outside = tmp_path / "images", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    shutil.copy(GALLERY / "phantom-1.jpg", outside / "secret.jpg")
    (inside / "link.jpg").symlink_to(outside / "secret.jpg")
    words = Vocabulary(("streaks",), ("nevus", "melanoma"))
    case = NewCase("link", "link.jpg", "train", 10, 10)
    work.store.create_project(Project("Links", inside, words), [case])
    with pytest.raises(RequestError, match="not in the project's folder"):
        work.picture({"case": work.store.case_of("Links", "link").id})
    assert work.picture(case_of(work))["picture"].startswith("data:image/jpeg;base64,")


def test_projects_are_made_from_what_is_offered(models: Models, tmp_path: Path):
    root = tmp_path / "root"
    (root / "lesions").mkdir(parents=True)
    (root / ".hidden").mkdir()
    shutil.copy(GALLERY / "phantom-1.jpg", root / "lesions")
    (root / "out").symlink_to(tmp_path)
    roots = ProjectRoots([root])
    assert roots.names() == ["root", "root/lesions"]
    for name in ("root/out", "root/..", "/", "root/.hidden", None):
        with pytest.raises(RequestError, match="no others"):
            roots.folder(name)
    work = AnnotationService(str(tmp_path / "a.db"), models, GALLERY, roots)
    asked = {
        "folder": "root/lesions",
        "name": "Lesions",
        "concepts": "streaks , regression",
        "classes": "nevus,melanoma",
        "instructions": "Look twice.",
    }
    made = work.make_project(asked)
    assert made["problems"] == []
    lesions = next(project for project in made["projects"] if project["name"] == "Lesions")
    assert (lesions["cases"], lesions["concepts"]) == (1, ["streaks", "regression"])
    assert [helper["name"] for helper in lesions["models"]] == ["first", "second"]
    with pytest.raises(StoreError, match="already"):
        work.make_project(asked)
    work.store.close()
    with pytest.raises(FileNotFoundError, match="no folder"):
        ProjectRoots([tmp_path / "missing"])


def test_suggestions_are_of_concepts_that_both_know(work: AnnotationService, helper: HelpService):
    found = helper.suggest({**case_of(work), "model": "first"})["concepts"]
    assert list(found) == list(CONCEPTS)
    for suggestion in found.values():
        assert suggestion["presence"] in ("yes", "no", "unsure")
        assert bool(suggestion["cells"]) == (suggestion["presence"] != "no")
    with pytest.raises(RequestError, match="no model"):
        helper.suggest({**case_of(work), "model": "../first"})


def test_similar_patches_follow_the_reader_and_spare_what_was_rejected(
    work: AnnotationService, helper: HelpService
):
    case = work.store.case_of("Demo", "phantom-1")
    region = np.zeros((case.height, case.width), dtype=bool)
    region[: case.height // 7 + 1, : case.width // 7 + 1] = True  # four patches of 14 x 14
    mark = {**NOTHING, "presence": "yes", "mask": Mask.of(region).to_json()}
    save(work, "Ann", 1, "a", field="concept", concept="streaks", value=mark)
    asked = {**case_of(work), "model": "first", "concept": "streaks"}
    assert helper.similar("Ben", asked) == {"proposals": []}
    (proposal,) = helper.similar("Ann", asked)["proposals"]
    assert proposal["case"] == case.id
    assert [0, 0] in proposal["cells"] and [0, 0] not in proposal["added"]
    out = proposal["added"][0]
    rejected = {str(case.id): [out]}
    after = helper.similar("Ann", {**asked, "rejected": rejected})["proposals"]
    assert all(out not in each["cells"] for each in after)
    others = helper.similar("Ann", {**asked, "elsewhere": True})["proposals"]
    assert case.id not in {each["case"] for each in others}
    with pytest.raises(RequestError, match="patch"):
        helper.similar("Ann", {**asked, "rejected": {str(case.id): [["0", 1]]}})


def test_marks_leave_as_one_file(work: AnnotationService, outcome: OutcomeService):
    for key, value in (("a", "nevus"), ("b", "melanoma")):
        save(work, "Ann", 1, key, field="diagnosis", value=value)
    with pytest.raises(RequestError):
        outcome.export({"project": "Demo", "kind": "folder", "whose": None})
    save(work, "Ann", 1, "c", field="status", value="done")
    file = outcome.export({"project": "Demo", "kind": "folder", "whose": None})
    assert file.name == "demo-folder.zip"
    with zipfile.ZipFile(file) as archive:
        labels = archive.read("demo-folder/labels.csv").decode("utf-8-sig").splitlines()
        assert "demo-folder/images/train/phantom-1.jpg" in archive.namelist()
    assert labels[1].startswith("phantom-1,train,melanoma")
    table = outcome.export({"project": "Demo", "kind": "csv", "whose": "Ann"})
    assert "phantom-1,Ann,train,done" in table.read_text("utf-8-sig")
    with pytest.raises(RequestError, match="exported as"):
        outcome.export({"project": "Demo", "kind": "pickle"})


def test_agreement_is_of_the_readers_who_are_done(work: AnnotationService, outcome: OutcomeService):
    said = {"Ann": ("nevus", "nevus", "melanoma"), "Ben": ("nevus", "melanoma", "melanoma")}
    for reader, diagnoses in said.items():
        for number, diagnosis in enumerate(diagnoses, start=1):
            save(work, reader, number, f"d{number}", field="diagnosis", value=diagnosis)
            save(work, reader, number, f"s{number}", field="status", value="done")
    found = outcome.agreement({"project": "Demo"})
    assert (found["readers"], found["cases"]) == (("Ann", "Ben"), 3)
    # They agree on 2 of 3; by chance on (2/3)(1/3) + (1/3)(2/3) = 4/9: (2/3 - 4/9) / (5/9) = 2/5.
    assert found["pairs"][0]["diagnosis"]["value"] == pytest.approx(0.4)


def test_training_waits_for_enough_marks(work: AnnotationService, outcome: OutcomeService):
    found = outcome.training({"project": "Demo", "model": "first"})
    assert (found["cases"], found["worthwhile"]) == (0, False)
    assert "--store annotations.db" in found["command"] and "--project Demo" in found["command"]
    with pytest.raises(RequestError, match="no model"):
        outcome.training({"project": "Demo", "model": "third"})


def visitor(**cookies: str) -> SimpleNamespace:
    app = SimpleNamespace(cookie_id="x", tokens={"secret": "Ann"})
    return SimpleNamespace(app=app, cookies=cookies)


def test_who_signed_in_reads_as_nobody_else(monkeypatch: pytest.MonkeyPatch):
    call = _for_reader("who", lambda reader, asked: {"reader": reader})
    stranger, ann = visitor(), visitor(**{"access-token-x": "secret"})
    assert call({"reader": " Eve "}, stranger, None) == {"reader": "Eve"}
    assert call({"reader": "Ann"}, ann, None) == {"reader": "Ann"}
    assert "signed in as Ann" in call({"reader": "Eve"}, ann, None)["error"]
    forged = visitor(**{"access-token-x": "guess"})
    assert call({"reader": "Ann"}, forged, None) == {"reader": "Ann"}  # where nobody has to sign in
    monkeypatch.setenv("OAUTH_CLIENT_ID", "some")
    assert "Sign in first" in call({"reader": "Ann"}, stranger, None)["error"]
    hub = {"name": "Ann", "profile": "", "picture": ""}
    profile = gr.OAuthProfile(hub | {"preferred_username": "ann-of-the-hub"})
    assert call({"reader": "ann-of-the-hub"}, stranger, profile) == {"reader": "ann-of-the-hub"}
    assert "signed in as" in call({"reader": "Ann"}, stranger, profile)["error"]


def test_only_what_may_pass_later_is_to_be_sent_again():
    def failing(problem: Exception) -> dict[str, object]:
        def fail(*_: object) -> dict[str, object]:
            raise problem

        return _answering("fail", fail)({}, visitor(), None)

    assert failing(RequestError("No.")) == {"error": "No.", "again": False}
    assert failing(StoreFailure("Disk full.")) == {"error": "Disk full.", "again": True}
    assert failing(StoreError("No such case.")) == {"error": "No such case.", "again": False}
    assert failing(ZeroDivisionError())["again"]


def test_accounts_are_a_line_each(tmp_path: Path):
    file = tmp_path / "accounts"
    file.write_text("Ann:a b:c\n\n Ben :x\n")
    assert read_accounts(file) == [("Ann", "a b:c"), ("Ben", "x")]
    for wrong in ("", "Ann", "Ann:", ":x"):
        file.write_text(wrong)
        with pytest.raises(ValueError, match="name:password"):
            read_accounts(file)
