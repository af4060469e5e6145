"""An image unlike those of the model is told in the safety line itself, not only on demand."""

import shutil

import numpy as np
from playwright.sync_api import Browser, expect
from visit import Server, Studio

from csr_core.calibration import Calibration
from csr_core.checkpoint import load_checkpoint
from csr_core.familiarity import Familiarity, ScoreRange
from csr_core.records import record_calibration


def test_the_safety_line_says_that_the_image_is_unfamiliar(
    browser: Browser, tiny_checkpoints, tmp_path
):
    folders = shutil.copytree(tiny_checkpoints, tmp_path / "checkpoints")
    config = load_checkpoint(folders / "first").network.config
    channels = load_checkpoint(folders / "first").network.concept_head.in_channels
    # No feature of any picture comes near 1000.
    far = Familiarity(
        np.full(channels, 1000.0), np.eye(1, channels), np.ones(1), 1.0, 2.5, 0.05, 99
    )
    never = ScoreRange(np.full((config.concepts, config.prototypes), 2.0), 0.05, 99)
    record_calibration(folders / "first", Calibration(never, far, "99 images of nothing"))
    server = Server(folders, tmp_path / "gradio")
    server.start()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    try:
        studio = Studio(context.new_page(), server.url)
        notices = studio.page.locator("[data-ref=notices]")
        expect(notices).to_contain_text("Unfamiliar image")
        box, line = notices.bounding_box(), studio.page.locator(".safety").bounding_box()
        assert line["x"] <= box["x"] and box["x"] + box["width"] <= line["x"] + line["width"]
        notices.click()
        first = studio.page.locator("[data-ref=noticeList] li").first
        expect(first).to_contain_text("limit 2.5; about 5 % of usual images")
        expect(first).to_contain_text("otherwise disregard the probabilities")
        studio.after(lambda: studio.page.locator("[data-ref=model]").select_option("second"))
        expect(notices).not_to_contain_text("Unfamiliar image")
        expect(notices).to_contain_text("notice")
    finally:
        context.close()
        server.stop()
