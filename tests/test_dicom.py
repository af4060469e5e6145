"""DICOM: pixels as the file wants them shown, nothing of the person, and no file that hurts."""

import base64
import io
import json
import logging
import struct
import subprocess
import sys
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicoms import SECRET, compressed, dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from csr_core.cases import CaseStore
from csr_core.imaging import ImageError, decode_image
from csr_core.models import Models
from csr_core.service import ReviewService

NATIVE = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def tile(*values, dtype=np.uint8):
    """A picture of 32 × 32 pixels whose first row begins with the values; the rest is the first."""
    picture = np.full((32, 32, *np.shape(values)[1:]), values[0], dtype)
    picture[0, : len(values)] = values
    return picture


def first(data, count):
    """The red, or the only grey, of the first pixels."""
    rgb = decode_image(data)
    if (rgb == rgb[..., :1]).all():
        return rgb[0, :count, 0].tolist()
    return rgb[0, :count].tolist()


def refusal(data):
    with pytest.raises(ImageError) as caught:
        decode_image(data, what="scan.dcm")
    message = str(caught.value)
    assert message.startswith("scan.dcm ") and message.endswith(".") and "\n" not in message
    assert SECRET not in message
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, MemoryError)
    return message


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, True)


def smooth(height=48, width=40):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 5, 255 - rows * 3], axis=-1).astype(np.uint8)


class TestGrey:
    def test_eight_bits_are_shown_as_they_are(self):
        data = dicom(tile(0, 1, 100, 255))
        assert first(data, 4) == [0, 1, 100, 255]
        assert decode_image(data).shape == (32, 32, 3)

    def test_monochrome1_is_inverted(self):
        assert first(dicom(tile(0, 1, 100, 255), "MONOCHROME1"), 4) == [255, 254, 155, 0]

    @pytest.mark.parametrize("syntax", NATIVE)
    def test_twelve_bits_without_window_run_from_darkest_to_brightest(self, syntax):
        values = tile(1000, 1500, 2000, dtype=np.uint16)
        assert first(dicom(values, BitsStored=12, syntax=syntax), 3) == [0, 128, 255]

    def test_signed_samples(self):
        assert first(dicom(tile(-1000, 0, 1000, dtype=np.int16)), 3) == [0, 128, 255]
        assert first(dicom(tile(-128, 0, 127, dtype=np.int8)), 3) == [0, 128, 255]

    def test_unused_bits_are_ignored(self):
        values = tile(0x7000, 0xF00A, 0x0014, dtype=np.uint16)
        assert first(dicom(values, BitsStored=12), 3) == [0, 128, 255]

    def test_fewer_than_eight_bits_use_their_whole_range(self):
        assert first(dicom(tile(0, 3, 15), BitsStored=4), 3) == [0, 51, 255]

    def test_a_uniform_picture_is_no_division_by_zero(self):
        assert first(dicom(tile(700, 700, dtype=np.uint16)), 2) == [0, 0]

    def test_window_of_rescaled_values(self):
        # 2x - 1024: -1024, 0, 40, 80 Hounsfield units. Linear window of centre 40 and width 81:
        # (v - 39.5) / 80 + 0.5, so 0 → 0.00625, 40 → 0.50625, 80 → 1.00625.
        values = tile(0, 512, 532, 552, dtype=np.uint16)
        window = {"RescaleSlope": 2, "RescaleIntercept": -1024}
        window |= {"WindowCenter": 40, "WindowWidth": 81}
        assert first(dicom(values, **window), 4) == [0, 2, 129, 255]
        assert first(dicom(values, "MONOCHROME1", **window), 4) == [255, 253, 126, 0]

    def test_the_first_of_several_windows(self):
        values = tile(0, 50, 100, dtype=np.uint16)
        window = {"WindowCenter": [50.5, 1000], "WindowWidth": [101, 1]}  # (v - 50) / 100 + 0.5
        assert first(dicom(values, **window), 3) == [0, 128, 255]

    @pytest.mark.parametrize(
        ("function", "width", "expected"),
        [
            ("LINEAR", 1, [0, 0, 255]),  # a threshold at 49.5
            ("LINEAR_EXACT", 100, [0, 102, 255]),  # 40 → 0.4
            ("SIGMOID", 40, [2, 69, 253]),  # 1 / (1 + e^5), 1 / (1 + e), 1 / (1 + e^-5)
        ],
    )
    def test_shapes_of_windows(self, function, width, expected):
        data = dicom(tile(0, 40, 100), WindowCenter=50, WindowWidth=width, VOILUTFunction=function)
        assert first(data, 3) == expected

    @pytest.mark.parametrize("syntax", NATIVE)
    def test_table_of_values_of_interest_goes_before_the_window(self, syntax):
        item = Dataset()
        item.LUTDescriptor = [3, 100, 10]
        item.LUTData = [0, 341, 1023]
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
        values = tile(5, 101, 102, 900, dtype=np.uint16)
        data = dicom(values, VOILUTSequence=[item], WindowCenter=1, WindowWidth=1, syntax=syntax)
        assert first(data, 4) == [0, 85, 255, 255]

    @pytest.mark.parametrize("syntax", NATIVE)
    def test_modality_table_goes_before_the_window(self, syntax):
        item = Dataset()
        item.LUTDescriptor = [3, 0, 16]
        item.LUTData = [10, 60, 110]
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
        window = {"WindowCenter": 60.5, "WindowWidth": 101}  # (v - 60) / 100 + 0.5
        data = dicom(tile(0, 1, 2), ModalityLUTSequence=[item], syntax=syntax, **window)
        assert first(data, 3) == [0, 128, 255]

    def test_a_falling_rescale_without_window_inverts(self):
        assert first(dicom(tile(0, 100, 255), RescaleSlope=-1, RescaleIntercept=9), 3) == [
            255,
            155,
            0,
        ]


class TestColour:
    PIXELS = tile((10, 20, 30), (255, 0, 0), (1, 2, 3))

    @pytest.mark.parametrize("syntax", NATIVE)
    def test_rgb(self, syntax):
        data = dicom(self.PIXELS, "RGB", syntax=syntax)
        np.testing.assert_array_equal(decode_image(data), self.PIXELS)

    def test_planes_of_colour(self):
        planes = self.PIXELS.transpose(2, 0, 1).tobytes()
        data = dicom(self.PIXELS, "RGB", PlanarConfiguration=1, PixelData=planes)
        np.testing.assert_array_equal(decode_image(data), self.PIXELS)

    def test_sixteen_bits_a_colour(self):
        values = tile((0, 257, 65535), (129, 128, 1000), dtype=np.uint16)
        assert first(dicom(values, "RGB"), 2) == [[0, 1, 255], [1, 0, 4]]

    def test_ybr_full(self):
        # JFIF: R = Y + 1.402 (Cr - 128), B = Y + 1.772 (Cb - 128).
        values = tile((100, 128, 128), (76, 85, 255), (29, 255, 107))
        rgb = decode_image(dicom(values, "YBR_FULL"))[0, :3].astype(int)
        np.testing.assert_allclose(rgb, [[100, 100, 100], [254, 0, 0], [0, 0, 254]], atol=1)

    def test_ybr_full_with_half_the_colour_columns(self):
        pixels = smooth()  # the shape only: two pixels are Y1 Y2 B R
        quads = np.tile(np.array([76, 149, 85, 255], np.uint8), 48 * 20)
        rgb = decode_image(dicom(pixels, "YBR_FULL_422", PixelData=quads.tobytes())).astype(int)
        np.testing.assert_allclose(rgb[0, :2], [[254, 0, 0], [255, 73, 73]], atol=1)

    @pytest.mark.parametrize("syntax", NATIVE)
    @pytest.mark.parametrize("bits", [8, 16])
    def test_palette(self, bits, syntax):
        high = 256 if bits == 16 else 1
        palette = {}
        colours = {"Red": [9, 8, 7, 6], "Green": [0, 1, 2, 255], "Blue": [5] * 4}
        for colour, entries in colours.items():
            name = f"{colour}PaletteColorLookupTable"
            order = "<" if syntax.is_little_endian else ">"
            kind = np.dtype(f"{order}u2" if bits == 16 else "u1")
            palette[name + "Descriptor"] = [4, 2, bits]
            palette[name + "Data"] = (np.array(entries) * high).astype(kind).tobytes()
        data = dicom(tile(0, 3, 5, 200), "PALETTE COLOR", syntax=syntax, **palette)
        assert first(data, 4) == [[9, 0, 5], [8, 1, 5], [6, 255, 5], [6, 255, 5]]


class TestCompressed:
    @pytest.mark.parametrize("colours", ["YBR_FULL_422", "YBR_FULL", "RGB"])
    def test_jpeg_with_a_jfif_marker_has_the_right_colours(self, colours):
        frame = compressed(smooth(), "JPEG", quality=95)
        decoded = decode_image(dicom(smooth(), colours, syntax=JPEGBaseline8Bit, frame=frame))
        np.testing.assert_array_equal(decoded, np.array(Image.open(io.BytesIO(frame))))

    @pytest.mark.parametrize("names", [b"RGB", b"\1\2\3"])
    def test_jpeg_of_plain_rgb_without_markers(self, names):
        frame = compressed(smooth(), "JPEG", quality=95, keep_rgb=True)
        tables = frame.index(b"\xff\xdb")
        assert b"JFIF" not in frame and b"RGB" not in frame
        frame = bytearray(frame[:2] + frame[tables:])
        for marker, first_name, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
            start = frame.index(marker) + first_name
            frame[start : start + 3 * step : step] = names
        decoded = decode_image(dicom(smooth(), "RGB", syntax=JPEGBaseline8Bit, frame=bytes(frame)))
        assert np.abs(decoded.astype(int) - smooth()).mean() < 3

    @pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
    def test_grey_jpeg_is_windowed(self, syntax):
        grey = np.full((32, 32), 40, np.uint8)
        data = dicom(
            grey,
            syntax=syntax,
            frame=compressed(grey, "JPEG", quality=95),
            WindowCenter=40,
            WindowWidth=100,
            VOILUTFunction="LINEAR_EXACT",
        )
        assert first(data, 1) == [128]

    def test_jpeg_2000_keeps_every_pixel(self):
        frame = compressed(smooth(), "JPEG2000", no_jp2=True)
        data = dicom(smooth(), "YBR_RCT", syntax=JPEG2000Lossless, frame=frame)
        np.testing.assert_array_equal(decode_image(data), smooth())

    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000])
    def test_jpeg_2000_of_sixteen_bits(self, syntax):
        values = tile(1000, 1500, 2000, dtype=np.uint16)
        frame = compressed(values, "JPEG2000", no_jp2=True)
        assert first(dicom(values, syntax=syntax, frame=frame), 3) == [0, 128, 255]

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
    @pytest.mark.parametrize("colours", ["MONOCHROME2", "RGB"])
    def test_run_lengths_show_what_plain_samples_do(self, colours, dtype):
        from pydicom.pixels import get_encoder

        if colours == "RGB" and dtype == np.int16:
            return  # colours are never signed
        values = noise(40, 48, *((3,) if colours == "RGB" else ()), dtype=dtype)
        values[:10] = values[0, 0]
        options = {"rows": 40, "columns": 48, "number_of_frames": 1, "planar_configuration": 0}
        options |= {"photometric_interpretation": colours, "samples_per_pixel": values[0, 0].size}
        options |= {"bits_allocated": 8 * values.itemsize, "bits_stored": 8 * values.itemsize}
        options |= {"pixel_representation": int(dtype == np.int16)}
        frame = get_encoder(RLELossless).encode(values, **options)
        shown = decode_image(dicom(values, colours, syntax=RLELossless, frame=frame))
        np.testing.assert_array_equal(shown, decode_image(dicom(values, colours)))

    @pytest.mark.parametrize(
        ("syntax", "name"),
        [(JPEGLosslessSV1, "JPEG Lossless"), (JPEGLSLossless, "JPEG-LS Lossless")],
    )
    def test_other_compression_is_named(self, syntax, name):
        message = refusal(dicom(smooth(), "RGB", syntax=syntax, frame=b"\xff\xd8\xff\xd9"))
        assert name in message and "save it uncompressed" in message

    def test_twelve_bit_jpeg_is_named(self):
        values = tile(0, 4000, dtype=np.uint16)
        data = dicom(values, BitsStored=12, syntax=JPEGExtended12Bit, frame=b"\xff\xd8\xff\xd9")
        assert "JPEG Extended" in refusal(data)

    def test_an_unknown_compression_is_not_quoted(self):
        data = dicom(tile(0)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.3." + b"4" * 13 + b"\0")
        message = refusal(data)
        assert "unknown way" in message and "444" not in message


class TestRefusals:
    def test_several_frames(self):
        data = dicom(tile(0), NumberOfFrames=12, PixelData=bytes(12 * 1024))
        assert "12 frames: save the one you mean" in refusal(data)

    @pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
    @pytest.mark.parametrize("syntax", [*NATIVE, JPEGBaseline8Bit, JPEG2000Lossless])
    def test_a_file_cut_short(self, syntax, share):
        pixels = noise(64, 64, 3)
        frame = None
        if syntax.is_encapsulated:
            kind = "JPEG" if syntax == JPEGBaseline8Bit else "JPEG2000"
            frame = compressed(pixels, kind, **({} if kind == "JPEG" else {"no_jp2": True}))
        data = dicom(pixels, "RGB", syntax=syntax, frame=frame)
        assert "complete file" in refusal(data[: int(len(data) * share)])

    @pytest.mark.parametrize("kept", [0.5, 0.95])
    def test_a_jpeg_cut_short_inside_a_whole_file(self, kept):
        frame = compressed(noise(64, 64, 3), "JPEG")
        cut = frame[: int(len(frame) * kept)] + b"\xff\xd9"
        data = dicom(noise(64, 64, 3), "YBR_FULL_422", syntax=JPEGBaseline8Bit, frame=cut)
        assert "cut short" in refusal(data)

    def test_too_few_samples(self):
        assert "cut short" in refusal(dicom(smooth(), "RGB", PixelData=bytes(5000)))

    @pytest.mark.parametrize(
        "keyword",
        ["Rows", "PixelData", "PhotometricInterpretation", "BitsAllocated", "BitsStored"],
    )
    def test_what_a_picture_needs_is_missing(self, keyword):
        assert "DICOM" in refusal(dicom(tile(0), **{keyword: None}))

    def test_a_file_without_picture_says_so(self):
        assert "without a complete picture" in refusal(dicom(tile(0), PixelData=None))

    def test_what_may_be_missing(self):
        absent = dict.fromkeys(["HighBit", "PixelRepresentation", "SamplesPerPixel"])
        assert first(dicom(tile(7, 9), **absent), 2) == [7, 9]

    @pytest.mark.parametrize(
        "elements",
        [
            {"SamplesPerPixel": 3},
            {"SamplesPerPixel": 4, "PhotometricInterpretation": "ARGB"},
            {"BitsAllocated": 32},
            {"BitsAllocated": 1},
            {"BitsStored": 9},
            {"HighBit": 3},
            {"PixelRepresentation": 2},
            {"PhotometricInterpretation": SECRET},
            {"PhotometricInterpretation": "YBR_PARTIAL_420"},
        ],
        ids=str,
    )
    def test_unusual_samples(self, elements):
        assert "save the picture as PNG" in refusal(dicom(tile(0), **elements))

    @pytest.mark.parametrize(
        "elements",
        [
            {"WindowCenter": 40, "WindowWidth": 0},
            {"WindowCenter": 40, "WindowWidth": -5},
            {"RescaleSlope": "1e400", "RescaleIntercept": 0},
        ],
        ids=str,
    )
    def test_impossible_display(self, elements):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the writer warns
            data = dicom(tile(0), **elements)
        assert "damaged" in refusal(data)

    def test_palette_without_tables(self):
        assert "without a plain colour palette" in refusal(dicom(tile(0), "PALETTE COLOR"))

    def test_tiny_and_huge(self):
        assert "31 × 40 pixels" in refusal(dicom(np.zeros((40, 31), np.uint8)))
        assert "60 megapixels" in refusal(dicom(tile(0), Rows=65_535, Columns=65_535))

    def test_a_compressed_frame_larger_than_declared_is_never_decoded(self):
        frame = compressed(tile(0), "JPEG")
        start = frame.index(b"\xff\xc0") + 5
        frame = frame[:start] + struct.pack(">HH", 60_000, 60_000) + frame[start + 4 :]
        begun = time.process_time()
        refusal(dicom(tile(0), syntax=JPEGBaseline8Bit, frame=frame))
        assert time.process_time() - begun < 1


class TestHostile:
    def test_a_deflate_bomb(self):
        data = dicom(tile(0), syntax=DeflatedExplicitVRLittleEndian)
        compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        bomb = b"".join(compressor.compress(bytes(2**20)) for _ in range(200)) + compressor.flush()
        body = data.index(b"1.2.840.10008.1.2.1.99") + 22
        message = refusal(data[:body] + bomb)
        assert "more than 64 MB when inflated" in message

    def test_millions_of_elements(self):
        data = dicom(tile(0))
        start = data.index(b"\x08\0\x16\0UI")
        element = struct.pack("<HH2sH", 0x0009, 0x0010, b"LO", 0)
        nothing = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
        sequence = struct.pack("<HH2sHL", 0x0009, 0x0011, b"SQ", 0, 0xFFFFFFFF)
        for filling in (element * 2_000_000, sequence + nothing * 2_000_000):
            begun = time.process_time()
            refusal(data[:start] + filling + data[start:])
            assert time.process_time() - begun < 5

    @pytest.mark.parametrize(
        ("tag", "filling"),
        [
            (b"\x08\0\x05\0", b"1\\"),  # SpecificCharacterSet
            (b"\x28\0\x10\0", b"\1\0"),  # Rows
            (b"\x28\0\x50\x10", b"1\\"),  # WindowCenter
        ],
    )
    def test_values_in_great_number(self, tag, filling):
        data = dicom(tile(0), syntax=ImplicitVRLittleEndian)
        start = data.index(b"\x08\0\x16\0")
        values = filling * 10_000_000
        begun = time.process_time()
        refusal(data[:start] + tag + struct.pack("<L", len(values)) + values + data[start:])
        assert time.process_time() - begun < 5

    def test_long_values_that_are_not_needed_are_skipped(self):
        data = dicom(tile(0, 9), syntax=ImplicitVRLittleEndian)
        start = data.index(b"\x28\0\x02\0")
        remark = bytes(5_000_000)
        long = b"\x20\0\0\x40" + struct.pack("<L", len(remark)) + remark
        assert first(data[:start] + long + data[start:], 2) == [0, 9]

    def test_pixels_again_and_again(self):
        data = dicom(tile(0, 9))
        again = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0) * 2_000_000
        begun = time.process_time()
        assert first(data + again, 2) == [0, 9]
        assert time.process_time() - begun < 5

    def test_millions_of_fragments(self):
        data = dicom(tile(0), syntax=JPEGBaseline8Bit, frame=compressed(tile(0), "JPEG"))
        end = data.rindex(b"\xfe\xff\xdd\xe0")
        begun = time.process_time()
        refusal(data[:end] + struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 2_000_000 + data[end:])
        assert time.process_time() - begun < 5

    def test_run_lengths_are_bounded_by_the_declared_size(self):
        header = struct.pack("<16L", 1, 64, *[0] * 14)
        frame = header + b"\x81\0" * 10_000_000  # 1.28 GB of zeros
        begun = time.process_time()
        shown = decode_image(dicom(tile(0), syntax=RLELossless, frame=frame))
        assert shown.shape == (32, 32, 3)
        assert time.process_time() - begun < 5

    def test_deeply_nested_sequences(self):
        data = dicom(tile(0))
        start = data.index(b"\x08\0\x16\0UI")
        sequence = struct.pack("<HH2sHL", 0x0009, 0x0011, b"SQ", 0, 0xFFFFFFFF)
        level = sequence + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        refusal(data[:start] + level * 100_000 + data[start:])


SEEDS = [
    dicom(tile(0, 50, 100), WindowCenter=50, WindowWidth=100),
    dicom(tile(0, 500, 1000, dtype=np.uint16), RescaleSlope=2, RescaleIntercept=1),
    dicom(smooth(), "YBR_FULL", syntax=ImplicitVRLittleEndian),
    dicom(smooth(), "RGB", syntax=JPEGBaseline8Bit, frame=compressed(smooth(), "JPEG")),
    dicom(
        smooth(), "YBR_RCT", syntax=JPEG2000, frame=compressed(smooth(), "JPEG2000", no_jp2=True)
    ),
    dicom(tile(0, 50), syntax=DeflatedExplicitVRLittleEndian),
]


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=300)
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_never_escape(seed, data):
    mutated = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(128, min(len(mutated) - 1, 1500)))
        mutated[position] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_image(bytes(mutated[: data.draw(st.integers(132, len(mutated)))]))
    except ImageError as refused:
        assert str(refused).endswith(".") and SECRET not in str(refused)
        return
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


@given(st.binary(max_size=300))
@settings(max_examples=200)
@pytest.mark.filterwarnings("ignore")
def test_random_headers_never_escape(data):
    with pytest.raises(ImageError):
        decode_image(bytes(128) + b"DICM" + data)


@pytest.fixture(scope="module")
def service(tiny_checkpoints):
    gallery = Path(__file__).parents[1] / "assets" / "cases"
    return ReviewService(Models(tiny_checkpoints), gallery, CaseStore())


class TestPrivacy:
    def test_the_patient_is_in_no_log_and_no_answer(self, service, caplog, capfd):
        caplog.set_level(logging.DEBUG)
        data = dicom(noise(64, 64, 3), "RGB")
        assert SECRET.encode() in data
        opened = service.open_image("first", data, "scan.dcm")
        texts = [json.dumps(opened), caplog.text, *capfd.readouterr()]
        asked = {"key": opened["key"], "edits": [], "semantics": "calibrated", "times": []}
        for kind in ("json", "html", "pdf"):
            kept = service.keep(asked | {"kind": kind, "concept": 0, "with_image": True})
            content = base64.b64decode(kept["data"])
            texts += [kept["name"], content.decode("latin-1")]
            if kind == "json":
                url = json.loads(content)["image"]["picture"]
                assert url.startswith("data:image/png;base64,")
                picture = base64.b64decode(url.split(",")[1])
                texts.append(picture.decode("latin-1"))
                np.testing.assert_array_equal(decode_image(picture), decode_image(data))
        assert len(texts) == 11
        for text in texts:
            assert SECRET not in text

    @pytest.mark.parametrize("place", range(6))
    def test_damaged_files_quote_nothing(self, place, caplog):
        caplog.set_level(logging.DEBUG)
        told = []
        try:
            decode_image(misplaced()[place], what="scan.dcm")
        except ImageError as refused:
            told += traceback.format_exception(refused)
        assert SECRET not in "".join(told) + caplog.text

    def test_damaged_files_leave_no_warning(self, tmp_path):
        for place, data in enumerate(misplaced()):
            (tmp_path / f"{place}.dcm").write_bytes(data)
        script = (
            "import sys\n"
            "from csr_core.imaging import ImageError, decode_image\n"
            "for path in sys.argv[1:]:\n"
            "    try: decode_image(path)\n"
            "    except ImageError: pass\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *sorted(map(str, tmp_path.iterdir()))],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def misplaced():
    """Files in which what is said of the person stands where something else should."""
    data = dicom(tile(0), WindowWidth=9)
    name, number = b"\x10\0\x10\0PN", b"\x10\0\x20\0LO"
    assert name in data and number in data
    return [
        data.replace(name, b"\x28\0\x10\0US"),  # Rows
        data.replace(number, b"\x28\0\x50\x10DS"),  # WindowCenter
        data.replace(number, b"\x28\0\x08\0IS"),  # NumberOfFrames
        data.replace(number, b"\x28\0\x04\0CS"),  # PhotometricInterpretation
        data.replace(name, b"\x08\0\x05\0CS"),  # SpecificCharacterSet
        data[: data.index(SECRET.encode()) + 3],
    ]
