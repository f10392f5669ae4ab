"""Images of a clip: their order in its folder, and their pixels.

Published clips have consecutive frame numbers, and `image_paths` asks for them. One's own footage is named as
its recorder names it: `frame_paths` takes such names in natural order, and says so.
"""

import functools
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np

from data_prep.errors import InputError
from data_prep.files import file_content, natural_order, one_line
from data_prep.terminal import say_once

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})

# Frames that are damaged as published, and what is read in their place: the frame before.
STAND_INS = {("Test", "Test017", "142.tif"): "141.tif"}
PED1 = ("ucsdped1", "ped1")  # the folder of which, in letters of any case

# OpenCV fills what is missing of a truncated JPG with grey and reports success. The marker that ends every
# JPG cannot occur inside its compressed data, and a few bytes of padding after it do no harm.
_JPEG_START, _JPEG_END, _JPEG_TAIL_BYTES = b"\xff\xd8", b"\xff\xd9", 1024

FEWEST_LEVELS = 64  # of grey, of 256, that images of more than 8 bits must show when they are read as 8
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
_LOOKED_AT = 16  # images of such a clip, spread over it

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # a damaged file is reported once, by our InputError


def image_paths(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of their frame numbers (the last digits of each name).

    Hidden files and files that are no images are left out. Nothing is decoded.
    Raises InputError: no such folder, no image, a name without number, a gap or a repeat in the numbers.
    """
    folder = Path(folder)
    numbered = _numbered(folder, _image_names(folder))
    if fault := _fault_of(numbered):
        raise InputError(f"{folder / fault[0]}: {fault[1]}")
    return [folder / name for _, name in numbered]


def frame_paths(folder: Path) -> list[Path]:
    """Return the images of a folder as `image_paths` does; where their numbers have gaps, in natural order.

    So come frames named by time, every fifth frame, names that end in a size. A line says so, once.
    Raises InputError: no such folder, no image, a name without number, names of several kinds, a repeat.
    """
    folder = Path(folder)
    names = _image_names(folder)
    numbered = _numbered(folder, names)
    fault = _fault_of(numbered)
    if fault is None:
        return [folder / name for _, name in numbered]
    keys = {name: natural_order(os.path.splitext(name)[0]) for name in names}
    kinds = {tuple(text for text, _ in key): name for name, key in keys.items()}
    if len(kinds) > 1:
        others = sorted(kinds.values(), key=natural_order)[:2]
        raise InputError(f"{folder / fault[0]}: {fault[1]}; and names of several kinds, {', '.join(others)}")
    names = sorted(names, key=keys.__getitem__)
    for before, name in itertools.pairwise(names):
        if keys[before] == keys[name]:
            raise InputError(f"{folder / name}: repeat of frame {before}")
    say_once(
        f"{folder}: frame numbers are not consecutive, {len(names)} frames are taken in the natural order of "
        f"their names, {names[0]} to {names[-1]}, as equally far apart"
    )
    return [folder / name for name in names]


def read_image(path: Path, gray: bool = False) -> np.ndarray:
    """Return one image: uint8 (H, W, 3) RGB, or uint8 (H, W) when `gray`; of 16 bits the upper 8.

    Raises InputError when the file cannot be decoded, is a truncated JPG or has values that are no bytes.
    """
    return _decoded(path, cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR_RGB)


def read_mask(path: Path) -> np.ndarray:
    """Return where an image is not black, bool (H, W): a gray level or color of any depth, alpha left aside.

    Raises InputError as `read_image`.
    """
    image = _decoded(path, cv2.IMREAD_UNCHANGED)
    return image != 0 if image.ndim == 2 else image[..., :3].any(-1)


def _decoded(path: Path, mode: int) -> np.ndarray:
    """Return an image as OpenCV decodes it in a mode; InputError as `read_image`."""
    content = file_content(path)
    if content.startswith(_JPEG_START) and _JPEG_END not in content[-_JPEG_TAIL_BYTES:]:
        raise InputError(f"{path}: truncated image, expected the JPG end marker FFD9, got none")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode) if content else None
    except cv2.error as error:  # a header of more pixels than OpenCV takes, or than there is memory for
        raise InputError(f"{path}: damaged image, or one too large, {one_line(error.err)}") from error
    if image is not None:
        return image
    if kind := _deep_kind(content):
        raise InputError(f"{path}: image of {kind} values, expected images of 8 bits, all clips on one scale")
    raise InputError(f"{path}: damaged image, expected a readable one, got {len(content)} bytes")


def _deep_kind(content: bytes) -> str:
    """Return the type of the values of an image that OpenCV does not show, such as float32; "" where damaged.

    imageio reads it where it is whole: TIFF of fractions, or of whole numbers of 32 bits.
    """
    try:
        dtype = iio.improps(content, plugin="pillow").dtype
    except Exception:  # on damage Pillow raises whatever its parsers trip over
        return ""
    return "" if dtype in (np.uint8, bool) else str(dtype)


def iter_images(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    """Yield the decoded images, uint8 (H, W, 3) RGB; InputError at one that is not the first one's size."""
    first_shape = None
    for path in paths:
        frame = _read_frame(path)
        if first_shape is None:
            first_shape = frame.shape
            check_depth(path.parent)
        if frame.shape != first_shape:
            raise InputError(
                f"{path}: frame of another size, expected {size_of(first_shape)} as the clip's first frame, "
                f"got {size_of(frame.shape)}"
            )
        yield frame


@functools.lru_cache(maxsize=4096)  # clips
def check_depth(folder: Path) -> None:
    """Raise InputError where a folder's images have more than 8 bits, and 8 would show few levels of grey.

    So are those of cameras of 10 to 14 bits, and of thermal ones. What fills its 16 bits is read, and a line
    says so. PNG and TIFF files alone can be so; `_LOOKED_AT` of them are looked at, spread over the folder.
    """
    paths = [path for path in frame_paths(folder) if path.suffix.lower() in _DEEP_SUFFIXES]
    first = _as_stored(paths[0]) if paths else None
    if first is None or first.dtype == np.uint8:  # what cannot be decoded is told when it is read
        return
    looked_at = [paths[i] for i in np.linspace(0, len(paths) - 1, _LOOKED_AT).astype(int)]
    shown = np.unique(np.concatenate([np.unique(read_image(path)) for path in looked_at]))
    stored = np.unique(np.concatenate([np.unique(_as_stored(path)) for path in looked_at]))
    if len(shown) < len(stored) and shown[-1] - shown[0] < FEWEST_LEVELS:
        low, high = stored[0], stored[-1]
        raise InputError(
            f"{folder}: images of {stored.dtype} values {low}..{high}, of which 8 bits would show "
            f"{len(shown)} levels of grey; expected images of 8 bits, all clips on one scale: ImageMagick's "
            f"`mogrify -path OUT -level {low},{high} -depth 8 *{paths[0].suffix}` writes them into OUT"
        )
    say_once(f"{folder}: images of {stored.dtype} values, of which the upper 8 bits are read")


def size_of(shape: tuple[int, ...]) -> str:
    """Return an array shape (H, W, ...) as `WxH px`, the way cameras and players print it."""
    return f"{shape[1]}x{shape[0]} px"


def _as_stored(path: Path) -> np.ndarray | None:
    """Return an image with its values as they are stored; None where it cannot be decoded."""
    content = np.frombuffer(file_content(path), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None


def _image_names(folder: Path) -> list[str]:
    """Return the names of the images in a folder; InputError where there is none, or no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a folder of images")
    names = [name for name in os.listdir(folder) if is_image(name)]
    if not names:
        raise InputError(f"{folder}: no image in the folder, expected {', '.join(sorted(IMAGE_SUFFIXES))}")
    return names


def is_image(name: str) -> bool:
    """Tell whether a file name is an image's; archives made on a Mac add hidden `._001.tif` files."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _numbered(folder: Path, names: Iterable[str]) -> list[tuple[int, str]]:
    """Return (frame number, name) in order: the last run of digits, so that frame 10 follows frame 9."""
    numbered = []
    for name in names:
        digits = re.findall(r"\d+", os.path.splitext(name)[0])
        if not digits:
            raise InputError(f"{folder / name}: no frame number in the name, expected one such as 001.jpg")
        numbered.append((int(digits[-1]), name))
    return sorted(numbered)


def _fault_of(numbered: Sequence[tuple[int, str]]) -> tuple[str, str] | None:
    """Return the first name whose number does not follow the one before, and why; None where all do."""
    for expected, (number, name) in enumerate(numbered, start=numbered[0][0]):
        if number != expected:
            fault = "gap in" if number > expected else "repeat of"
            return name, f"{fault} frame numbers, expected {expected}, got {number}"
    return None


def _read_frame(path: Path) -> np.ndarray:
    """Return an image, or its stand-in where it is known to be damaged as published; that is said aloud."""
    dataset, *place = path.parts[-4:]
    stand_in = STAND_INS.get(tuple(place)) if dataset.lower() in PED1 else None
    try:
        return read_image(path)
    except InputError as error:
        if stand_in is None:
            raise
        print(f"{error}; known of the published archive, {stand_in} is read in its place", file=sys.stderr)
        return read_image(path.with_name(stand_in))
