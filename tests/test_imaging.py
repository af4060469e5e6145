"""Untrusted pictures: decoded as they look, or refused with one sentence."""

import io
import os
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from csr_core.imaging import MAX_BYTES, ImageError, decode_image, image_hash, to_square

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns about the damaged files meant here

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def plain(mode="RGB", colour=RED, size=(40, 48)):
    return Image.new(mode, size, colour)


def photograph(height=96, width=120):
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(rows / 7 + channel) * np.cos(columns / 9) for channel in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def with_png_size(data, width, height):
    header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def with_jpeg_size(data, width, height):
    start = data.index(b"\xff\xc0") + 5
    return data[:start] + struct.pack(">HH", height, width) + data[start + 4 :]


def with_tiff_size(data, width, height):
    data = bytearray(data)
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in (256, 257):
            struct.pack_into("<HII", data, entry + 2, 4, 1, width if tag == 256 else height)
    return bytes(data)


def refusal(source):
    with pytest.raises(ImageError) as caught:
        decode_image(source, what="case.jpg")
    message = str(caught.value)
    assert message.startswith("case.jpg ") and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_lossless_formats_keep_every_pixel(kind):
    pixels = photograph()
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode_image(encoded(Image.fromarray(pixels), kind, **options))
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous and decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_close_to_the_original(progressive):
    pixels = photograph()
    data = encoded(Image.fromarray(pixels), "JPEG", quality=95, progressive=progressive)
    assert np.abs(decode_image(data).astype(int) - pixels).mean() < 3


def test_every_kind_of_source_gives_the_same_array(tmp_path):
    pixels = photograph()
    data = encoded(Image.fromarray(pixels))
    path = tmp_path / "case.png"
    path.write_bytes(data)
    for source in (data, path, str(path), Image.fromarray(pixels), Image.open(path), pixels):
        np.testing.assert_array_equal(decode_image(source), pixels)


def test_array_is_copied():
    pixels = photograph()
    decode_image(pixels)[:] = 0
    assert pixels.any()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"Dear doctor, the picture is attached.", "not a picture"),
        (b"%PDF-1.7\n" + bytes(200), "JPEG, PNG, TIFF, BMP, WebP and DICOM"),
        (encoded(plain(size=(1, 1))), "1 × 1 pixels"),
        (encoded(plain(size=(500, 31))), "at least 32"),
        (encoded(plain("F", 0.5), "TIFF"), "floating-point"),
        (encoded(plain("I", 70_000), "TIFF"), "beyond 16 bits"),
    ],
)
def test_refusal_says_what_is_wrong(data, words):
    assert words in refusal(data)


def test_smallest_side_is_accepted():
    assert decode_image(encoded(plain(size=(32, 33)))).shape == (33, 32, 3)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("tail", [b"", b"\xff\xd9", bytes(50_000)])
def test_truncated_jpeg_is_refused(kept, tail, progressive):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", progressive=progressive)
    message = refusal(data[: int(len(data) * kept)] + tail)
    assert "complete file" in message


def test_uniform_mid_grey_jpeg_is_complete():
    decoded = decode_image(encoded(plain(colour=(128, 128, 128)), "JPEG"))
    np.testing.assert_array_equal(decoded, np.full((48, 40, 3), 128))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_other_truncated_files_are_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    assert "complete file" in refusal(data[: len(data) // 2])


@pytest.mark.parametrize("width", [8_000, 11_000, 30_000])
@pytest.mark.parametrize(
    ("kind", "resize"),
    [("PNG", with_png_size), ("JPEG", with_jpeg_size), ("TIFF", with_tiff_size)],
)
def test_declared_size_is_refused_before_decoding(kind, resize, width):
    data = resize(encoded(plain(), kind), width, width)
    start = time.perf_counter()
    message = refusal(data)
    assert time.perf_counter() - start < 0.1
    assert "60 megapixels" in message


def test_too_many_bytes_are_refused(tmp_path):
    path = tmp_path / "secret-name.png"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    for source in (path, bytes(MAX_BYTES + 1)):
        assert "64 MB" in refusal(source)


def test_missing_files_and_folders_are_refused_without_their_path(tmp_path):
    for source in (tmp_path, tmp_path / "gone.png", str(tmp_path / "nul\0.png")):
        assert str(tmp_path) not in refusal(source)


def test_cmyk_jpeg_has_the_right_colours():
    # Pillow writes CMYK JPEGs the way Adobe does, with inverted samples and Adobe's marker.
    data = encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(decode_image(data).astype(int) - RED).max() <= 8
    np.testing.assert_array_equal(
        decode_image(encoded(plain("CMYK", (255, 0, 255, 51)), "TIFF"))[0, 0], (0, 204, 0)
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_by_257(kind):
    samples = np.tile(np.array([0, 257, 128 * 257, 65535], np.uint16), (32, 8))
    decoded = decode_image(encoded(Image.fromarray(samples), kind))
    np.testing.assert_array_equal(decoded[0, :4], [[value] * 3 for value in (0, 1, 128, 255)])


@pytest.mark.parametrize(("mode", "dtype"), [("I;16B", ">u2"), ("I", "<i4")])
def test_other_sixteen_bit_modes_are_scaled_by_257(mode, dtype):
    samples = np.full((40, 40), 200 * 257, dtype)
    picture = Image.frombytes(mode, (40, 40), samples.tobytes())
    np.testing.assert_array_equal(decode_image(picture)[0, 0], [200] * 3)


def test_white_is_zero_is_inverted():
    samples = np.full((40, 40), 55 * 257, np.uint16)
    data = encoded(Image.fromarray(samples), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(decode_image(data)[0, 0], [200] * 3)


def test_sixteen_bit_rgb_is_scaled_by_257():
    samples = np.full((40, 40, 3), (10 * 257, 128 * 257, 65535), ">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in samples)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    np.testing.assert_array_equal(decode_image(data)[0, 0], (10, 128, 255))


def test_transparency_is_laid_over_white():
    np.testing.assert_array_equal(decode_image(encoded(plain("RGBA", (255, 0, 0, 0))))[0, 0], WHITE)
    half = decode_image(encoded(plain("RGBA", (255, 0, 0, 51))))[0, 0]
    np.testing.assert_array_equal(half, (255, 204, 204))
    np.testing.assert_array_equal(decode_image(encoded(plain("LA", (0, 0))))[0, 0], WHITE)


def test_palette_and_colour_key_transparency_are_white():
    palette = plain("P", 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((0, 0), 1)
    decoded = decode_image(encoded(palette, transparency=0))
    np.testing.assert_array_equal(decoded[0, 0], (0, 0, 255))
    np.testing.assert_array_equal(decoded[1, 1], WHITE)
    np.testing.assert_array_equal(decode_image(encoded(plain(), transparency=RED))[0, 0], WHITE)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"), [("L", 77, 77), ("LA", (77, 255), 77), ("1", 1, 255)]
)
def test_grey_becomes_rgb(mode, colour, expected):
    np.testing.assert_array_equal(
        decode_image(encoded(plain(mode, colour))), np.full((48, 40, 3), expected)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, kind):
    picture = Image.fromarray(photograph())
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(decode_image(data), np.array(upright))
    assert decode_image(data).shape[:2] == ((120, 96) if orientation > 4 else (96, 120))


def test_broken_exif_is_ignored():
    data = encoded(plain(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    np.testing.assert_array_equal(decode_image(data)[0, 0], RED)


def swapped_profile():
    """SRGB with red and green swapped: pure "red" of that space is sRGB green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("picture", [plain(), plain("RGBA", (255, 0, 0, 255)), plain().quantize(2)])
def test_colour_profile_is_converted_to_srgb(picture):
    decoded = decode_image(encoded(picture, icc_profile=swapped_profile()))[0, 0]
    assert np.abs(decoded.astype(int) - (0, 255, 0)).max() <= 3


def test_profile_of_another_colour_space_is_ignored():
    grey = decode_image(encoded(plain("L", 90), icc_profile=swapped_profile()))
    assert np.abs(grey.astype(int) - 90).max() <= 3
    cmyk = encoded(plain("CMYK", (0, 255, 255, 0)), "TIFF", icc_profile=swapped_profile())
    np.testing.assert_array_equal(decode_image(cmyk)[0, 0], RED)


def test_broken_colour_profile_is_ignored():
    data = encoded(plain(), icc_profile=b"not a colour profile")
    np.testing.assert_array_equal(decode_image(data)[0, 0], RED)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("GIF", "several frames"),
        ("WEBP", "12 frames"),
        ("PNG", "12 frames"),
        ("TIFF", "several pages"),
    ],
)
def test_several_frames_are_refused(kind, words):
    frames = [plain(colour=(index * 20, 0, 0)) for index in range(12)]
    message = refusal(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert words in message and "save the one you mean as PNG or JPEG" in message


def test_phone_picture_with_a_preview_gives_its_first_frame():
    data = encoded(plain(), "MPO", save_all=True, append_images=[plain(colour=WHITE)])
    assert np.abs(decode_image(data).astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    refusal(array)


def test_hash_tells_pixels_and_shape_apart():
    zeros = np.zeros((32, 48, 3), np.uint8)
    changed = zeros.copy()
    changed[-1, -1, -1] = 1
    hashes = {image_hash(zeros), image_hash(changed), image_hash(zeros.reshape(48, 32, 3))}
    assert len(hashes) == 3 and all(len(digest) == 64 for digest in hashes)
    assert image_hash(zeros[:, ::-1]) == image_hash(zeros)


def test_square_averages_when_shrinking():
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 100
    np.testing.assert_array_equal(to_square(stripes, 32), np.full((32, 32, 3), 50))


def test_square_squashes_each_axis_by_itself():
    wide = np.zeros((32, 256, 3), np.uint8)
    wide[:, ::2] = 100  # the width shrinks to the mean while the height grows
    np.testing.assert_array_equal(to_square(wide, 64), np.full((64, 64, 3), 50))
    same = photograph(64, 64)
    np.testing.assert_array_equal(to_square(same, 64), same)


def accepted_or_refused(data):
    try:
        decoded = decode_image(data)
    except ImageError:
        return
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3
    assert min(decoded.shape[:2]) >= 32


SEEDS = [encoded(plain(), kind) for kind in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")]
STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"RIFF....WEBPVP8"]


@given(st.sampled_from(STARTS), st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_random_bytes_never_escape(start, data):
    accepted_or_refused(start + data)


@given(st.sampled_from(SEEDS), st.data())
@settings(deadline=None, max_examples=300)
def test_mutated_files_never_escape(seed, data):
    mutated = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, min(len(mutated) - 1, 200)))
        mutated[position] = data.draw(st.integers(0, 255))
    accepted_or_refused(bytes(mutated[: data.draw(st.integers(1, len(mutated)))]))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX feature")
def test_named_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    refusal(tmp_path / "pipe.png")
