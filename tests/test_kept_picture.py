"""What is kept of an uploaded picture: its pixels, and nothing that was written beside them."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from csr_core.cases import CaseStore
from csr_core.imaging import ImageError, decode_image
from csr_core.kept_picture import kept
from csr_core.models import Models
from csr_core.service import ReviewService

SECRET = b"Jane Doe 47.6205 N"
ORIENTATION, ARTIST, GPS, GPS_PLACE = 0x0112, 0x013B, 0x8825, 0x001D


def photograph(height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(rows / 7 + channel) * np.cos(columns / 9) for channel in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def exif(orientation=1):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    tags[ARTIST] = SECRET.decode()
    tags.get_ifd(GPS)[GPS_PLACE] = SECRET.decode()
    return tags


def encoded(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(orientation=1, **options):
    options = {"exif": exif(orientation), "comment": SECRET, "quality": 90} | options
    return encoded(Image.fromarray(photograph()), "JPEG", **options)


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(**options):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", SECRET.decode())
    texts.add_itxt("XML:com.adobe.xmp", f"<x>{SECRET.decode()}</x>")
    picture = options.pop("picture", Image.fromarray(photograph()))
    data = encoded(picture, "PNG", pnginfo=texts, exif=exif(options.pop("orientation", 1)))
    end = data.index(b"IEND") - 4
    more = chunk(b"tIME", b"\x07\xea\1\1\0\0\0") + chunk(b"prVt", SECRET)
    return data[:end] + more + data[end:] + SECRET


def bare(data):
    """What is kept of a picture, which has its pixels and nothing else."""
    assert SECRET in data
    pixels = decode_image(data)
    remaining = kept(data, pixels)
    np.testing.assert_array_equal(decode_image(remaining), pixels)
    assert SECRET not in remaining
    return remaining


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_stays_a_jpeg_and_upright(orientation):
    data = jpeg(orientation)
    remaining = bare(data)
    assert remaining.startswith(b"\xff\xd8\xff") and len(remaining) < len(data)
    with Image.open(io.BytesIO(remaining)) as picture:
        assert set(picture.getexif()) <= {ORIENTATION}
        assert picture.getexif().get(ORIENTATION, 1) == orientation
    assert b"JFIF" in remaining


def test_the_scans_of_a_progressive_jpeg_stay_and_remarks_between_them_go():
    data = jpeg(progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    table = data.rindex(b"\xff\xc4", 0, second)
    remaining = bare(data[:table] + segment(0xFE, SECRET) + data[table:])
    assert remaining.count(b"\xff\xda") == data.count(b"\xff\xda") > 2


def test_restart_markers_and_filling_stay():
    data = jpeg(restart_marker_blocks=1)
    assert b"\xff\xd0" in data and b"\xff\xd7" in data
    remaining = bare(data.replace(b"\xff\xfe", b"\xff\xff\xff\xfe", 1))
    assert remaining.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xE3, 0xE5, 0xEC, 0xED, 0xEE, 0xEF, 0xFE])
def test_other_segments_and_what_follows_the_picture_go(marker):
    data = encoded(Image.fromarray(photograph()), "JPEG")
    place = data.index(b"\xff\xdb")
    remaining = bare(data[:place] + segment(marker, b"Photoshop " + SECRET) + data[place:] + SECRET)
    assert remaining == data


def test_the_preview_inside_a_jfif_marker_goes():
    data = encoded(Image.fromarray(photograph()), "JPEG")
    assert data[2:4] == b"\xff\xe0" and data[18:19] == b"\0"
    preview = SECRET + bytes(18 * 3 - len(SECRET))
    header = b"JFIF\0\1\2\0\0\1\0\1" + bytes([18, 1]) + preview
    remaining = bare(data[:2] + segment(0xE0, header) + data[20:])
    assert remaining[:20] == b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0"


def test_what_decides_the_colours_stays():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert b"ICC_PROFILE" in bare(jpeg(icc_profile=profile))
    assert b"iCCP" in bare(png(picture=with_profile(profile)))
    inks = Image.fromarray(photograph()).convert("CMYK")
    adobe = encoded(inks, "JPEG", exif=exif())
    assert b"Adobe" in adobe and b"Adobe" in bare(adobe)
    plain = jpeg(keep_rgb=True)
    bare(plain)


def with_profile(profile):
    picture = Image.fromarray(photograph())
    picture.info["icc_profile"] = profile
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_png_keeps_its_pixels_and_orientation(orientation):
    data = png(orientation=orientation)
    remaining = bare(data)
    for kind in (b"tEXt", b"iTXt", b"tIME", b"prVt"):
        assert kind in data and kind not in remaining
    assert remaining.endswith(b"IEND\xaeB`\x82")
    assert (b"eXIf" in remaining) == (orientation > 1)


def test_transparency_and_palette_of_a_png_stay():
    clear = Image.fromarray(photograph()).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    bare(png(picture=clear))
    few = Image.fromarray(photograph()).quantize(8)
    few.info["transparency"] = 3
    assert b"tRNS" in bare(png(picture=few))
    deep = Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20)
    bare(png(picture=deep))


def test_a_picture_already_bare_is_kept_byte_for_byte():
    for kind in ("JPEG", "PNG"):
        data = encoded(Image.fromarray(photograph()), kind)
        assert kept(data, decode_image(data)) == data


def test_a_phone_picture_loses_its_second_picture():
    second = Image.fromarray(photograph()[::-1])
    second.info["comment"] = SECRET
    data = encoded(
        Image.fromarray(photograph()), "MPO", save_all=True, append_images=[second], exif=exif(6)
    )
    remaining = bare(data)
    assert remaining.count(b"\xff\xd8\xff") == 1 and remaining.startswith(b"\xff\xd8\xff")


def test_other_formats_are_kept_as_png(tmp_path):
    for kind in ("TIFF", "WEBP", "BMP"):
        data = encoded(Image.fromarray(photograph()), kind)
        (tmp_path / "picture").write_bytes(data)
        remaining = kept(tmp_path / "picture", decode_image(data))
        assert remaining.startswith(b"\x89PNG")
        np.testing.assert_array_equal(decode_image(remaining), decode_image(data))


def test_what_would_decode_to_other_pixels_is_kept_as_png():
    """A file may be read in two ways; only the pixels that the model saw count."""
    data, seen = jpeg(), photograph()[::-1].copy()
    remaining = kept(data, seen)
    assert remaining.startswith(b"\x89PNG") and SECRET not in remaining
    np.testing.assert_array_equal(decode_image(remaining), seen)


@given(st.sampled_from([jpeg(6), jpeg(progressive=True), png()]), st.data())
@settings(max_examples=200)
@pytest.mark.filterwarnings("ignore")
def test_whatever_can_be_opened_is_kept_with_the_same_pixels(seed, data):
    mutated = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(2, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_image(bytes(mutated))
    except ImageError:
        return
    remaining = kept(bytes(mutated), pixels)
    assert remaining.startswith((b"\xff\xd8\xff", b"\x89PNG"))
    np.testing.assert_array_equal(decode_image(remaining), pixels)


@pytest.mark.parametrize("data", [jpeg(6), png(orientation=6)], ids=["jpeg", "png"])
def test_nothing_beside_the_pixels_reaches_a_session_file(data, tiny_checkpoints):
    gallery = Path(__file__).parents[1] / "assets" / "cases"
    service = ReviewService(Models(tiny_checkpoints), gallery, CaseStore())
    asked = {"edits": [], "semantics": "calibrated", "times": [], "kind": "json"}
    opened = service.open_image("first", data, "mole")
    saved = base64.b64decode(
        service.keep(asked | {"key": opened["key"], "with_image": True})["data"]
    )
    url = json.loads(saved)["image"]["picture"]
    picture = base64.b64decode(url.split(",")[1])
    assert SECRET not in picture and b"GPS" not in picture
    with_secret = url.split(",")[0] + "," + base64.b64encode(data).decode()
    again = service.open_session(saved.replace(url.encode(), with_secret.encode()), None)
    assert base64.b64decode(again["image"]) == picture
