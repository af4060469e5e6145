"""Untrusted pictures become checked RGB arrays; the one edge where pixels enter the program."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from csr_core.picture_checks import (
    MAX_BYTES,
    ImageError,
    RGBArray,
    check_size,
    is_complete_jpeg,
    strips,
    too_large,
)

__all__ = [
    "EXIF_ORIENTATION",
    "ImageError",
    "RGBArray",
    "declared_size",
    "decode_image",
    "image_hash",
    "is_dicom",
    "orientation",
    "to_square",
]

EXIF_ORIENTATION = 0x0112

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_ACCEPTED = "JPEG, PNG, TIFF, BMP, WebP and DICOM pictures are accepted"
_SAVE_ONE = "save the one you mean as PNG or JPEG"
_TIFF_PHOTOMETRIC = 262
_TIFF_WHITE_IS_ZERO = 0
_PNG_ORIENTATION = (b"eXIf", b"com.adobe.xmp")
_TURNED = (5, 6, 7, 8)
_SIXTEEN_TO_EIGHT_BIT = 257  # 65535 / 255


def decode_image(
    source: bytes | str | Path | Image.Image | np.ndarray, *, what: str = "image"
) -> RGBArray:
    """Decode and check one untrusted picture.

    The size a file declares is checked before any pixel is decoded. Transparency is laid over
    white, EXIF orientation is applied, CMYK and pictures with an embedded RGB or CMYK colour
    profile become sRGB, and 16-bit samples are scaled by 257 to 8 bits. For DICOM see
    `csr_core.dicom.decode_dicom`.

    Args:
        source: The bytes of a JPEG, PNG, TIFF, BMP, WebP or DICOM file, the path of such a file,
            a Pillow image, or a (H, W, 3) uint8 RGB array.
        what: What the picture is called in error messages; paths are never shown.

    Returns:
        (H, W, 3) uint8 RGB, contiguous, owned by the caller; the shortest side is at least
        32 pixels and H · W at most 60 million.

    Raises:
        ImageError: The picture is empty, damaged, cut short, too large, too small, in a format
            that is not accepted, or holds several frames.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source, what)
    with _refusing(what):
        if isinstance(source, Image.Image):
            return _decode_picture(source, what)
        data = source if isinstance(source, bytes) else _read_file(Path(source), what)
        return _decode_bytes(data, what)


def declared_size(path: Path, *, what: str = "image") -> tuple[int, int]:
    """Read the size of a picture without decoding it, so damaged pixels go unnoticed.

    Args:
        path: a file `decode_image` would be given.
        what: what the picture is called in error messages.

    Returns:
        Height and width of what `decode_image` returns, in pixels.

    Raises:
        ImageError: as of `decode_image`, as far as the header tells.
    """
    with _refusing(what):
        data = _read_file(path, what)
        _check_bytes(data, what)
        if is_dicom(data):
            from csr_core.dicom import dicom_size

            return dicom_size(data, what)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            check_size(*picture.size, what)
            _check_single_frame(picture, what)
            turned = picture.format != "TIFF" and _is_turned(picture, data)
            return picture.size if turned else (picture.height, picture.width)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a picture into one sentence."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(what) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{what} is not a picture that can be read; {_ACCEPTED}.") from error
    except MemoryError as error:
        raise ImageError(
            f"{what} needs more memory than is free; send a smaller picture."
        ) from error
    except Exception as error:  # Pillow's decoders let almost any type escape on damaged files.
        raise ImageError(
            f"{what} is damaged, cut short or of an unusual kind; send the complete file "
            f"({_ACCEPTED})."
        ) from error


def image_hash(rgb: RGBArray) -> str:
    """Name a picture by its pixels.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        The SHA-256 of shape and pixels, 64 hexadecimal digits.
    """
    digest = hashlib.sha256("x".join(map(str, rgb.shape)).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def orientation(picture: Image.Image) -> int:
    """Read the EXIF orientation of an open picture, 1 to 8 unless it is damaged; 1 is upright."""
    try:
        return int(picture.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # A picture with broken EXIF is still a picture.
        return 1


def to_square(rgb: RGBArray, size: int) -> RGBArray:
    """Resize to a square, squashing the aspect ratio.

    The training data are squashed the same way, so a picture must not be cropped or padded here.

    Args:
        rgb: (H, W, 3) uint8.
        size: Side of the result in pixels.

    Returns:
        (size, size, 3) uint8; an axis that shrinks is averaged over area, one that grows is
        interpolated linearly.
    """
    H, W = rgb.shape[:2]
    # OpenCV averages over area only if both axes shrink, so shrinking and growing are two steps.
    shrunk = cv2.resize(rgb, (min(W, size), min(H, size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _check_array(array: np.ndarray, what: str) -> RGBArray:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            f"{what} is an array of {array.dtype} with shape {array.shape}; "
            "expected RGB of uint8 with shape (H, W, 3)."
        )
    check_size(array.shape[1], array.shape[0], what)
    return np.array(array, order="C")


def _read_file(path: Path, what: str) -> bytes:
    try:
        if not path.is_file():
            raise ImageError(f"{what} is not a file that can be found; choose a picture again.")
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"{what} cannot be opened; check that you may read the file.") from error


def _check_bytes(data: bytes, what: str) -> None:
    if not data:
        raise ImageError(f"{what} is empty (0 bytes); {_ACCEPTED}.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{what} is larger than {MAX_BYTES // 1024**2} MB; send a smaller file.")
    if data.startswith((b"GIF87a", b"GIF89a")):
        raise ImageError(f"{what} is a GIF, which may hold several frames: {_SAVE_ONE}.")


def is_dicom(data: bytes) -> bool:
    """Tell whether a file is DICOM, from its first 132 bytes or more."""
    return data[128:132] == b"DICM"


def _is_turned(picture: Image.Image, data: bytes) -> bool:
    """Tell whether height and width change places when an open picture is put upright."""
    # Pillow decodes a PNG to find out, since its EXIF may follow the pixels.
    if picture.format == "PNG" and not any(mark in data for mark in _PNG_ORIENTATION):
        return False
    return orientation(picture) in _TURNED


def _decode_bytes(data: bytes, what: str) -> RGBArray:
    _check_bytes(data, what)
    if is_dicom(data):
        from csr_core.dicom import decode_dicom  # here, since most pictures are of other formats

        return decode_dicom(data, what)
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        return _decode_picture(picture, what, data)


def _decode_picture(picture: Image.Image, what: str, data: bytes = b"") -> RGBArray:
    check_size(*picture.size, what)
    _check_single_frame(picture, what)
    picture.load()
    if data and picture.format in ("JPEG", "MPO") and not is_complete_jpeg(data, picture):
        raise ImageError(f"{what} is cut short; send the complete file ({_ACCEPTED}).")
    inverted = getattr(picture, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    for rows, strip in strips(picture):
        rgb[rows] = _to_rgb(strip, inverted, what)
    # Some decoders turn the picture while loading and clear the tag, so it is read afterwards.
    return np.ascontiguousarray(_orient(rgb, orientation(picture)))


def _check_single_frame(picture: Image.Image, what: str) -> None:
    # Phones store a JPEG with its preview or depth map as MPO; its first frame is the picture.
    if picture.format == "MPO" or not getattr(picture, "is_animated", False):
        return
    # Counting the pages of a TIFF walks the whole file, which a hostile one makes very long.
    several = "several pages" if picture.format == "TIFF" else f"{picture.n_frames} frames"  # type: ignore[attr-defined]
    raise ImageError(f"{what} has {several}: {_SAVE_ONE}.")


def _to_rgb(picture: Image.Image, inverted: bool, what: str) -> RGBArray:
    if picture.mode == "F":
        raise ImageError(f"{what} has floating-point samples; save it with 8 or 16 bits.")
    if picture.mode.startswith("I"):
        return _grey_to_rgb(picture, inverted, what)
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if picture.mode != "CMYK":
        picture = picture.convert("RGB")
    return np.array(_to_srgb(picture, profile))


def _grey_to_rgb(picture: Image.Image, inverted: bool, what: str) -> RGBArray:
    grey = np.array(picture).astype(np.int32)  # (H, W)
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError(f"{what} has samples beyond 16 bits; save it with 8 or 16 bits.")
    if inverted:
        grey = 65535 - grey  # Pillow inverts these for 8 bits, but not for 16.
    eight_bit = (grey + _SIXTEEN_TO_EIGHT_BIT // 2) // _SIXTEEN_TO_EIGHT_BIT
    return np.repeat(eight_bit.astype(np.uint8)[..., None], 3, axis=2)


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return picture.convert("RGB")
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            picture, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except Exception:  # A picture whose profile is broken or of another kind is still a picture.
        return picture.convert("RGB")
    return converted or picture.convert("RGB")


def _orient(rgb: RGBArray, orientation: int) -> RGBArray:
    """Undo an EXIF orientation, 1 to 8; any other value leaves the picture as it is."""
    if orientation in _TURNED:
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return rgb
