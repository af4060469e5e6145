"""The case store, the service behind the screen, and the endpoints of the app."""

import base64
import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from csr_core.cases import CaseExpired, CaseStore, OpenCase
from csr_core.models import Models
from csr_core.service import REFUSALS, ReviewService
from csr_core.wire import RequestError

ROOT = Path(__file__).parents[1]


def jpeg(seed: int = 0, size: tuple[int, int] = (96, 64)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG")
    return data.getvalue()


def open_case(size: int = 10) -> OpenCase:
    encoded = SimpleNamespace(similarity_maps=np.zeros((1, 1, size, 1), np.float32))
    return OpenCase("model", encoded, np.zeros((1, size, 1), np.float32), b"")


class TestCaseStore:
    def test_a_case_is_found_under_its_key_only(self):
        store = CaseStore()
        case, other = open_case(), open_case()
        key, other_key = store.put(case), store.put(other)
        assert store.get(key) is case
        assert store.get(other_key) is other
        assert key != other_key
        assert len(key) == 43
        with pytest.raises(CaseExpired, match="open it again"):
            store.get(key[:-1])

    def test_the_least_recently_used_case_makes_room(self):
        store = CaseStore(max_cases=2)
        first, second = store.put(open_case()), store.put(open_case())
        store.get(first)
        third = store.put(open_case())
        store.get(first)
        store.get(third)
        with pytest.raises(CaseExpired):
            store.get(second)

    def test_bytes_are_bounded_but_the_newest_case_stays(self):
        store = CaseStore(max_bytes=200)
        small = store.put(open_case(10))  # 80 bytes
        large = store.put(open_case(1000))
        assert len(store) == 1
        store.get(large)
        with pytest.raises(CaseExpired):
            store.get(small)

    def test_an_unused_case_expires_and_use_keeps_it(self):
        now = [0.0]
        store = CaseStore(max_age=10, clock=lambda: now[0])
        used, unused = store.put(open_case()), store.put(open_case())
        now[0] = 8
        store.get(used)
        now[0] = 15
        store.get(used)
        with pytest.raises(CaseExpired):
            store.get(unused)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for number in range(2):
        (folder / f"case{number}.jpg").write_bytes(jpeg(number))
    records = [{"file": f"case{number}.jpg", "title": f"Case {number}"} for number in range(2)]
    (folder / "cases.json").write_text(json.dumps(records))
    return folder


@pytest.fixture(scope="module")
def service(tiny_checkpoints: Path, gallery: Path) -> ReviewService:
    return ReviewService(Models(tiny_checkpoints), gallery, CaseStore())


def unpack(text: str, dtype: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


class TestService:
    def test_start_lists_models_and_cases(self, service: ReviewService):
        started = service.start()
        assert [model["name"] for model in started["models"]] == ["first", "second"]
        assert started["models"][0]["card"]["synthetic"] is True
        assert [case["title"] for case in started["cases"]] == ["Case 0", "Case 1"]
        assert started["cases"][0]["thumbnail"].startswith("data:image/jpeg;base64,")
        json.dumps(started)

    def test_opening_answers_what_the_core_computes(self, service: ReviewService, tiny_checkpoints):
        import csr_core

        opened = service.open_image("first", jpeg(), "mole")
        reasoner = csr_core.load(tiny_checkpoints / "first")
        case = reasoner.encode(csr_core.decode_image(jpeg()))
        verdict = reasoner.reason(case)
        K, _, H, W = case.similarity_maps.shape
        assert np.array_equal(
            unpack(opened["maps"], "<f4", K, H, W), case.similarity_maps.max(axis=1)
        )
        resembles = unpack(opened["resembles"], "<u2", K, H, W)
        assert np.array_equal(resembles, case.similarity_maps[:, 1:].argmax(axis=1) + 1), (
            "prototype 0 is dead and must not be shown"
        )
        assert np.array_equal(
            unpack(opened["likeness"], "<f4", K, H, W), case.similarity_maps[:, 1:].max(axis=1)
        )
        assert opened["verdict"]["probabilities"] == verdict.probabilities.tolist()
        assert opened["grid"] == [H, W]
        json.dumps(opened)

    def test_a_browser_gets_all_it_needs_to_reason_by_itself(self, service: ReviewService):
        opened = service.open_bundled("first", "case0")
        scores = unpack(opened["similarity"], "<f4", 3, 4, 14, 14).max(axis=(2, 3))
        head = unpack(opened["head"], "<f8", 2, 3, 4)
        above = scores - unpack(opened["absent"], "<f4", 3, 4)
        logits = opened["verdict"]["base"] + np.einsum("ckm,km->c", head, above)
        assert np.allclose(logits, opened["verdict"]["logits"], atol=1e-6)
        assert (unpack(opened["present"], "<f4", 3, 4) == np.float32(0.95)).all()

    def test_reasoning_sends_only_the_maps_that_changed(self, service: ReviewService):
        opened = service.open_bundled("first", "case0")
        force = [{"kind": "force", "concept": "streaks", "cells": [[2, 3]]}]
        answer = service.reason(opened["key"], force)
        assert list(answer["maps"]) == ["1"]
        before = unpack(opened["maps"], "<f4", 3, 14, 14)[1]
        now = unpack(answer["maps"]["1"], "<f4", 14, 14)
        assert np.argwhere(before != now).tolist() == [[2, 3]]
        assert now[2, 3] == np.float32(0.95)
        assert answer["verdict"]["probabilities"] != opened["verdict"]["probabilities"]
        plain = service.reason(opened["key"], [])
        assert plain == {"verdict": opened["verdict"], "maps": {}}

    def test_contributions_and_base_make_the_logits(self, service: ReviewService):
        opened = service.open_bundled("first", "case1")
        verdict = service.reason(opened["key"], [{"kind": "reject", "concept": 0}])["verdict"]
        total = np.array(verdict["base"]) + np.sum(verdict["contributions"], axis=1)
        assert np.allclose(total, verdict["logits"], atol=1e-9)

    def test_exemplar_without_and_with_pictures(
        self, service: ReviewService, tiny_checkpoints, gallery, tmp_path
    ):
        plain = service.exemplar("first", 1, 2)
        assert plain["image_id"] == "training_1_2"
        assert plain["picture"] is None
        (tmp_path / "images" / "train").mkdir(parents=True)
        (tmp_path / "images" / "train" / "training_1_2.jpg").write_bytes(jpeg())
        illustrated = ReviewService(Models(tiny_checkpoints), gallery, CaseStore(), tmp_path)
        assert illustrated.exemplar("first", 1, 2)["picture"].startswith("data:image/jpeg")
        assert illustrated.exemplar("first", 1, 3)["picture"] is None

    @pytest.mark.parametrize(
        ("request_", "sentence"),
        [
            (lambda s: s.open_bundled("first", "../case0"), "no bundled case"),
            (lambda s: s.open_bundled("../first", "case0"), "no model of that name"),
            (lambda s: s.open_image(None, jpeg(), "x"), "'model'"),
            (lambda s: s.open_image("first", b"", "x"), "empty"),
            (lambda s: s.reason("a" * 43, []), "open it again"),
            (lambda s: s.reason({"$ne": 1}, []), "'key'"),
            (lambda s: s.exemplar("first", 99, 0), "'concept'"),
            (lambda s: s.exemplar("first", 0, -1), "'prototype'"),
            (lambda s: s.exemplar("first", True, 0), "'concept'"),
        ],
    )
    def test_refusals_are_one_sentence(self, service: ReviewService, request_, sentence: str):
        with pytest.raises(REFUSALS, match=sentence) as refusal:
            request_(service)
        assert "\n" not in str(refusal.value)

    @pytest.mark.parametrize("edits", [None, "x", [1], [{"kind": "suppress"}], [{}]])
    def test_malformed_edits_are_refused(self, service: ReviewService, edits):
        key = service.open_bundled("first", "case0")["key"]
        with pytest.raises(REFUSALS):
            service.reason(key, edits)
        with pytest.raises(REFUSALS, match="outside the grid"):
            service.reason(key, [{"kind": "erase", "concept": None, "cells": [[99, 0]]}])
        with pytest.raises(RequestError, match="paper"):
            service.reason(key, [], "vague")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "exe"},
            {"times": []},
            {"times": ["now"]},
            {"times": ["2026-01-31T12:00:00"]},
            {"times": 3},
            {"comment": 7},
            {"comment": "x" * 20_001},
            {"own_call": "measles"},
            {"blind": "yes"},
            {"tally": {"fixed": -1}},
            {"kind": "pdf", "concept": 99},
            {"edits": [{"kind": "reject", "concept": "moustache"}]},
        ],
        ids=str,
    )
    def test_a_review_that_could_not_be_opened_again_is_not_kept(
        self, service: ReviewService, wrong: dict[str, object]
    ):
        asked = {
            "key": service.open_bundled("first", "case0")["key"],
            "edits": [{"kind": "reject", "concept": "streaks"}],
            "semantics": "calibrated",
            "times": ["2026-01-31T12:00:00Z"],
            "kind": "json",
        }
        assert service.keep(asked)["name"].endswith(".json")
        with pytest.raises(REFUSALS):
            service.keep({**asked, **wrong})

    def test_a_review_of_too_many_edits_is_refused(self, service: ReviewService):
        asked = {
            "key": service.open_bundled("first", "case0")["key"],
            "edits": [{"kind": "reject", "concept": "streaks"}] * 1001,
            "semantics": "calibrated",
            "times": ["2026-01-31T12:00:00Z"] * 1001,
            "kind": "json",
        }
        with pytest.raises(REFUSALS, match="1001 edits are more than one review may have"):
            service.keep(asked)

    def test_a_damaged_checkpoint_is_refused_with_the_reason(self, tmp_path, gallery):
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "config.json").write_text('{"card": {"title": "Bad"}}')
        service = ReviewService(Models(tmp_path), gallery, CaseStore())
        assert service.start()["models"][0]["title"] == "Bad"
        with pytest.raises(RequestError, match=r"can't be loaded: config\.json has format"):
            service.open_bundled("bad", "case0")

    def test_a_folder_without_checkpoints_is_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no checkpoint"):
            Models(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 20) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "concept", "cells", "key", "edits"]), inner)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)  # the first example loads a model
@given(request=json_values)
def test_whatever_a_browser_sends_is_answered(service: ReviewService, request):
    from app import browser_functions

    for function in browser_functions(service):
        answer = function(request)
        json.dumps(answer)
        assert "error" not in answer or "log says why" not in answer["error"]


@pytest.fixture(scope="module")
def url(service: ReviewService) -> Iterator[str]:
    from app import build, launch

    demo = build(service)
    launch(demo, host="127.0.0.1", port=None)
    yield demo.local_url
    demo.close()


@pytest.fixture(scope="module")
def client(url: str):
    from gradio_client import Client

    return Client(url, verbose=False)


class TestEndpoints:
    def test_encode_and_reason(self, client, tmp_path):
        from gradio_client import handle_file

        (tmp_path / "mole.jpg").write_bytes(jpeg())
        assert [model["name"] for model in client.predict(api_name="/models")] == [
            "first",
            "second",
        ]
        case = client.predict(handle_file(tmp_path / "mole.jpg"), "first", api_name="/encode")
        assert case["concepts"][1] == "streaks"
        assert sum(case["probabilities"]) == pytest.approx(1)
        plain = client.predict(case["key"], [], "calibrated", api_name="/reason")
        assert plain["probabilities"] == case["probabilities"]
        edits = [{"kind": "confirm", "concept": "streaks"}]
        edited = client.predict(case["key"], edits, "calibrated", api_name="/reason")
        assert edited["probabilities"] != case["probabilities"]

    def test_refusals_reach_the_client_and_the_app_lives_on(self, client, tmp_path):
        from gradio_client import handle_file

        (tmp_path / "text.jpg").write_text("no picture")
        with pytest.raises(Exception, match="not a picture"):
            client.predict(handle_file(tmp_path / "text.jpg"), "first", api_name="/encode")
        with pytest.raises(Exception, match="no longer open"):
            client.predict("nothing", [], "calibrated", api_name="/reason")
        assert client.predict(api_name="/models")

    def test_the_page_may_only_speak_to_its_own_host(self, url: str):
        with urllib.request.urlopen(url) as page:
            policy = page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in policy
        assert "http" not in policy


def test_help_explains_the_options():
    done = subprocess.run(
        [sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for option in ("--host", "--port", "--checkpoints", "--data", "--open"):
        assert option in done.stdout


def test_a_wrong_folder_ends_with_a_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py", "--checkpoints", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "no checkpoint" in done.stderr
    assert "Traceback" not in done.stderr
