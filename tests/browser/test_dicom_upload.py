"""A DICOM file opened, dropped and saved in a browser."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from dicoms import SECRET, dicom
from playwright.sync_api import expect
from visit import Server, Studio

from csr_core.imaging import decode_image

REMEMBERED = """
async () => {
  const finished = (request) =>
    new Promise((done) => (request.onsuccess = () => done(request.result)));
  const database = await finished(indexedDB.open("csr-studio", 1));
  const kept = await finished(database.transaction("records").objectStore("records").getAll());
  const read = async ({ file }) => new TextDecoder("latin1").decode(await file.arrayBuffer());
  return Promise.all(kept.filter(({ file }) => file).map(read));
}
"""


def scan() -> bytes:
    values = np.random.default_rng(3).integers(0, 4096, (90, 120), np.uint16)
    return dicom(values, "MONOCHROME1", BitsStored=12, WindowCenter=2048, WindowWidth=4096)


@pytest.mark.parametrize("name", ["scan.dcm", "IM000001"])
def test_a_dicom_file_becomes_a_case_and_its_patient_is_nowhere(
    studio: Studio, server: Server, name: str
):
    cases = studio.page.locator("[data-ref=strip] button")
    before = cases.count()
    with studio.page.expect_file_chooser() as chooser:
        studio.page.locator("[data-ref=upload]").click()
    assert studio.page.locator("[data-ref=file]").get_attribute("accept") is None
    studio.after(
        lambda: chooser.value.set_files(
            {"name": name, "mimeType": "application/dicom", "buffer": scan()}
        )
    )
    assert cases.count() == before + 1
    expect(cases.first).to_have_attribute("aria-label", name)
    assert "data:image/jpeg" in cases.first.get_attribute("style")
    studio.press("s")
    studio.click(5, 5)
    studio.page.locator("[data-ref=openKeeping]").click()
    with studio.page.expect_download() as download:
        studio.page.locator("[data-keep=json]").click()
    saved = Path(download.value.path()).read_bytes()
    assert SECRET.encode() not in saved and SECRET not in studio.page.content()
    picture = base64.b64decode(json.loads(saved)["image"]["picture"].split(",")[1])
    assert picture.startswith(b"\x89PNG") and SECRET.encode() not in picture
    np.testing.assert_array_equal(decode_image(picture), decode_image(scan()))
    remembered = studio.page.evaluate(REMEMBERED)
    assert len(remembered) == 1 and remembered[0][1:4] == "PNG"
    assert SECRET not in remembered[0]
    assert [path for path in server.temporary.rglob("*") if path.is_file()] == []


def test_a_dropped_dicom_file_is_opened(studio: Studio):
    studio.after(
        lambda: studio.page.evaluate(
            "bytes => { const data = new DataTransfer();"
            " data.items.add(new File([new Uint8Array(bytes)], 'dropped.dcm'));"
            " document.querySelector('[data-ref=studio]').dispatchEvent("
            "   new DragEvent('drop', { dataTransfer: data, bubbles: true })); }",
            list(scan()),
        )
    )
    first = studio.page.locator("[data-ref=strip] button").first
    expect(first).to_have_attribute("aria-label", "dropped.dcm")


def test_a_dicom_file_that_is_cut_short_is_refused(studio: Studio):
    numbers = studio.numbers()
    studio.page.locator("[data-ref=file]").set_input_files(
        {"name": "cut.dcm", "mimeType": "application/dicom", "buffer": scan()[:5000]}
    )
    expect(studio.page.locator("[data-ref=toasts] p").last).to_contain_text("complete file")
    assert studio.numbers() == numbers
