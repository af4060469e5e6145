"""This patch looks like that patch: with pictures that ship, that are given, and with none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from visit import Server, Studio

CONCEPTS, PROTOTYPES, SIDE = 3, 4, 14
PIXEL = """async () => {
  const there = document.querySelector("[data-ref=there]");
  const [crop, outline] = [there, there.querySelector("i")].map((node) =>
    node.getBoundingClientRect());
  const image = new Image();
  image.src = getComputedStyle(there).backgroundImage.slice(5, -2);
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const x = (outline.left + outline.width / 2 - crop.left) / crop.width;
  const y = (outline.top + outline.height / 2 - crop.top) / crop.height;
  return [...canvas.getImageData(x * image.width, y * image.height, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training images whose patches say where they are: red grows with the row, green across."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images" / "train").mkdir(parents=True)
    row, column = np.indices((SIDE * 32, SIDE * 32)) // 32
    pixels = np.stack([row * 18, column * 18, 0 * row], axis=-1).astype(np.uint8)
    for concept in range(CONCEPTS):
        for prototype in range(PROTOTYPES):
            name = f"training_{concept}_{prototype}.png"
            Image.fromarray(pixels).save(folder / "images" / "train" / name)
    return folder


@pytest.fixture
def with_data(
    browser: Browser, tiny_checkpoints: Path, data: Path, tmp_path: Path
) -> Iterator[Studio]:
    server = Server(tiny_checkpoints, tmp_path, data=data)
    server.start()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    yield Studio(context.new_page(), server.url)
    context.close()
    server.stop()


def test_the_crop_of_a_given_data_folder_is_shown_with_its_patch_outlined(with_data: Studio):
    page = with_data.page
    expect(page.locator("[data-ref=there] i")).to_be_visible()
    title = page.locator("[data-ref=facts] b").inner_text()
    _, row, column = title.split("_")  # the atlas puts prototype m of concept k at row k, column m
    red, green, *_ = page.evaluate(PIXEL)
    assert (red, green) == pytest.approx((18 * int(row), 18 * int(column)), abs=9)
    outlined = page.locator("[data-ref=there]").get_attribute("aria-label")
    assert outlined == f"Patch of {title}, row {row}, column {column}"
    here = page.locator("[data-ref=here]").get_attribute("aria-label")
    assert here.startswith("Patch of this image, row ")


def test_without_the_data_folder_the_facts_are_told_and_no_picture_is_shown(studio: Studio):
    there = studio.page.locator("[data-ref=there]")
    expect(there).to_have_text("no picture with this model")
    expect(there.locator("i")).to_have_count(0)
    expect(studio.page.locator("[data-ref=facts]")).to_contain_text("training_")
