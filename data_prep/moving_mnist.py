"""Moving-MNIST with anomalies of appearance or of motion (Sec. 4.2): sequences of 20 frames, 225x225 pixels.

Two digits start side by side in the centre of a black image.
    spatial   each digit makes a step up, down, left or right in each of the next 19 frames. In a test
              sequence a white box of 3x3 pixels covers one random place in 5 consecutive frames, which are
              abnormal; the place is drawn again until the box changes all 5 pictures.
    temporal  in the first 10 frames both digits move together in one of 8 directions. In each of the next
              10 frames of a test sequence, which are abnormal, the digits step in two different random
              directions.
Choices where the paper is silent: digits of 28x28 pixels, side by side, steps of 4 pixels (no digit can
leave the image), one place for the box, and training sequences of the temporal kind that move together for
all 20 frames.

The split "control" is the test split without its anomalies: the same digits and steps, without the box; the
two digits of the temporal kind go on together. Number i of one differs from number i of the other in nothing
else.

A file holds one split, contiguous to read by sequence:
    frames  uint8 (n_sequences, 20, 225, 225), gzip, one chunk a sequence
    labels  uint8 (n_sequences, 20), 1 = abnormal
    boxes   int16 (n_sequences, 2), upper left corner (y, x) of the white box, -1 where there is none
    lit     bool (225, 225), pixels that are not black in some frame
    attributes, one per field of `Settings`
Sequence number i depends on the settings and i alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from data_prep.errors import InputError
from data_prep.files import locked, remove_leftovers
from data_prep.hdf5 import check_stored, hdf5_written_whole, open_hdf5, readable
from data_prep.mnist_digits import Digits, load_digits

VERSION = 2  # raise it when the same settings come to give other pictures
KINDS, SPLITS = ("spatial", "temporal"), ("train", "test", "control")
SEQUENCE_FRAMES, SIZE_PX, DIGIT_PX, STEP_PX, BOX_PX = 20, 225, 28, 4, 3
BOX_FRAMES, TOGETHER_FRAMES = 5, 10

AXES = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])  # (y, x)
COMPASS = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])


@dataclass(frozen=True)
class Settings:
    """What determines every byte of a file; `digits` and `digits_sha256` are those that `generate` is given.

    `seed` is that of every draw, `digit_px` the side of the digits, which are resized from 28, `step_px` how
    far a digit moves along either axis in a frame, `box_px` the side of the white box.
    """

    kind: str
    split: str
    n_sequences: int
    seed: int = 0
    digits: str = ""
    digits_sha256: str = ""
    digit_px: int = DIGIT_PX
    step_px: int = STEP_PX
    box_px: int = BOX_PX
    version: int = VERSION


def generate(path: Path, settings: Settings, digits: Digits | None = None, progress: bool = True) -> Path:
    """Return `path` after writing a split to it, whole or not at all; a file of equal settings is kept.

    Paper: Sec. 4.2, 10,000 training and 3,000 test sequences. Memory holds one sequence.

    Args:
        path: the HDF5 file.
        settings: of the file; only sequences of the split "test" hold anomalies.
        digits: what moves; None for `digits_of(settings.split)`.
        progress: show a progress bar.

    Raises InputError: a setting out of range, a file that cannot be written.
    """
    path = Path(path)
    digits = digits_of(settings.split) if digits is None else digits
    settings = replace(settings, digits=digits.source, digits_sha256=digits.sha256)
    _check(settings, digits)
    if not _is_there(path, settings):
        with locked(path.parent):
            if not _is_there(path, settings):  # what was waited for may have written it
                remove_leftovers(path)
                _write(path, settings, digits, progress)
    return path


def _is_there(path: Path, settings: Settings) -> bool:
    """Tell whether a file of these settings is there."""
    if not path.is_file():
        return False
    with MovingMNIST(path) as present:
        return present.settings == settings


def _write(path: Path, settings: Settings, digits: Digits, progress: bool) -> None:
    """Write a split, whole or not at all."""
    n_sequences, label = settings.n_sequences, f"Moving-MNIST {settings.kind} {settings.split}"
    with hdf5_written_whole(path) as file:
        shape = (n_sequences, SEQUENCE_FRAMES, SIZE_PX, SIZE_PX)
        storage = {"compression": "gzip", "compression_opts": 1, "shuffle": False, "fletcher32": True}
        frames = file.create_dataset("frames", shape, np.uint8, chunks=(1, *shape[1:]), **storage)
        labels = np.zeros(shape[:2], np.uint8)
        boxes = np.full((n_sequences, 2), -1, np.int16)
        lit = np.zeros(shape[2:], bool)
        for index in tqdm(range(n_sequences), label, disable=not progress):
            frames[index], labels[index], boxes[index] = sequence = draw_sequence(
                settings, digits.images, index
            )
            lit |= sequence[0].any(0)
        for name, array in {"labels": labels, "boxes": boxes, "lit": lit}.items():
            file[name] = array
        file.attrs.update(asdict(settings))


def digits_of(split: str, folder: Path | None = None) -> Digits:
    """Return the digits of a split, see `load_digits`: MNIST's training digits, or its test digits."""
    return load_digits(folder, "train" if split == "train" else "test")


def _check(settings: Settings, digits: Digits) -> None:
    """Raise InputError for a setting out of range."""
    for name, value, allowed in (("kind", settings.kind, KINDS), ("split", settings.split, SPLITS)):
        if value not in allowed:
            raise InputError(f"{name}: expected one of {allowed}, got {value!r}")
    for name in ("n_sequences", "digit_px", "step_px", "box_px"):
        if getattr(settings, name) < 1:
            raise InputError(f"{name}: expected at least 1, got {getattr(settings, name)}")
    check_room(settings.step_px, settings.digit_px)
    if settings.box_px > SIZE_PX:
        raise InputError(f"box_px: expected a box that fits into {SIZE_PX} px, got {settings.box_px}")
    if len(digits.images) < 2:
        raise InputError(f"{digits.source}: expected at least two digits, got {len(digits.images)}")


def check_room(step_px: int, digit_px: int = DIGIT_PX) -> None:
    """Raise InputError for steps with which a digit can leave the image."""
    n_steps = SEQUENCE_FRAMES - 1
    room_px = (SIZE_PX - 2 * digit_px) // 2
    if n_steps * step_px > room_px:
        raise InputError(
            f"step_px: expected at most {room_px // n_steps} beside a digit_px of {digit_px}: digits stay in "
            f"{SIZE_PX} px for {n_steps} steps; got {step_px}"
        )


def draw_sequence(
    settings: Settings, images: np.ndarray, index: int
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return frames uint8 (20, 225, 225), labels uint8 (20,) and the box's corner of sequence number `index`.

    The corner is the upper left one, (y, x); (-1, -1) where there is no box.

    Args:
        settings: of the file.
        images: digits uint8 (n, 28, 28).
        index: which sequence.
    """
    drawn_as = "train" if settings.split == "train" else "test"  # "control" draws what "test" draws
    key = [settings.seed, KINDS.index(settings.kind), SPLITS.index(drawn_as), index]
    rng = np.random.default_rng(key)
    digit_px = settings.digit_px
    pair = [_resized(images[i], digit_px) for i in rng.choice(len(images), 2, replace=False)]
    frames = painted(pair, _positions(rng, settings))
    labels, corner = np.zeros(SEQUENCE_FRAMES, np.uint8), (-1, -1)
    if settings.split == "test" and settings.kind == "spatial":
        start = rng.integers(SEQUENCE_FRAMES - BOX_FRAMES + 1)
        labels[start : start + BOX_FRAMES] = 1
        corner = _add_box(rng, frames[start : start + BOX_FRAMES], settings.box_px)
    elif settings.split == "test":
        labels[TOGETHER_FRAMES:] = 1
    return frames, labels, corner


def painted(pair: Sequence[np.ndarray], positions: np.ndarray) -> np.ndarray:
    """Return frames uint8 (n, 225, 225) with two digits, their upper left corners int (n, 2, 2), (y, x)."""
    frames = np.zeros((len(positions), SIZE_PX, SIZE_PX), np.uint8)
    for frame, corners in zip(frames, positions, strict=True):
        for digit, (y, x) in zip(pair, corners, strict=True):
            place = frame[y : y + len(digit), x : x + len(digit)]
            np.maximum(place, digit, out=place)
    return frames


def _resized(image: np.ndarray, digit_px: int) -> np.ndarray:
    """Return a digit with sides of `digit_px`; as it is when it has them."""
    return image if image.shape == (digit_px, digit_px) else cv2.resize(image, (digit_px, digit_px))


def _positions(rng: np.random.Generator, settings: Settings) -> np.ndarray:
    """Return the upper left corners of both digits in each frame, int (20, 2, 2): frame, digit, (y, x)."""
    n_steps = SEQUENCE_FRAMES - 1
    if settings.kind == "spatial":
        steps = AXES[rng.integers(len(AXES), size=(n_steps, 2))]
    else:
        steps = np.tile(COMPASS[rng.integers(len(COMPASS))], (n_steps, 2, 1))
        if settings.split == "test":
            for frame in range(TOGETHER_FRAMES, SEQUENCE_FRAMES):
                steps[frame - 1] = COMPASS[rng.choice(len(COMPASS), 2, replace=False)]
    start = first_corners(settings.digit_px)
    return np.concatenate([start[None], start + settings.step_px * np.cumsum(steps, axis=0)])


def first_corners(digit_px: int) -> np.ndarray:
    """Return the upper left corners, int (2, 2) of (y, x), of two digits side by side in the centre."""
    top, left = (SIZE_PX - digit_px) // 2, SIZE_PX // 2 - digit_px
    return np.array([(top, left), (top, left + digit_px)])


def _add_box(rng: np.random.Generator, frames: np.ndarray, box_px: int) -> tuple[int, int]:
    """Draw a white box at one place of all the frames, so that it changes each of them; return its corner."""
    while True:
        y, x = rng.integers(SIZE_PX - box_px + 1, size=2)
        place = frames[:, y : y + box_px, x : x + box_px]
        if (place.min(axis=(1, 2)) < 255).all():
            place[:] = 255
            return y, x


def intensities(frames: np.ndarray, pixels: np.ndarray | None = None) -> np.ndarray:
    """Return pictures uint8 (..., 225, 225) as intensities of length 1, float32 (..., C).

    Paper: Sec. 4.2. Pixels in row-major order: all, C = 50625, or the C whose numbers `pixels` lists; the
    length is that of all.
    """
    pixels = np.arange(SIZE_PX**2) if pixels is None else pixels
    flat = frames.reshape(-1, SIZE_PX**2)
    frame, pixel = np.divmod(np.flatnonzero(flat != 0), SIZE_PX**2)  # of a frame's 50,625 some 300 are lit
    values = flat[frame, pixel].astype(np.float32)
    norms = np.sqrt(np.bincount(frame, np.square(values), len(flat))).astype(np.float32)
    values /= norms[frame]
    column = np.full(SIZE_PX**2, -1)
    column[pixels] = np.arange(len(pixels))
    column = column[pixel]
    features = np.zeros((len(flat), len(pixels)), np.float32)
    features[frame[column >= 0], column[column >= 0]] = values[column >= 0]
    return features.reshape(*frames.shape[:-2], -1)


class MovingMNIST:
    """A file of sequences opened for reading; a context manager.

    Attributes:
        path: the file.
        settings: what made it.
        labels: uint8 (n_sequences, 20), 1 = abnormal.
        boxes: int16 (n_sequences, 2), the white box's upper left corner (y, x), -1 where there is none.
        lit: bool (225, 225), pixels that are not black in some frame.

    Raises InputError: missing, damaged or not such a file.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"{path}: no such file, expected Moving-MNIST sequences")
        with readable(self.path, "Moving-MNIST file"):
            self._file = open_hdf5(self.path)
        try:
            with readable(self.path, "Moving-MNIST file"):
                values = {f.name: self._file.attrs[f.name] for f in fields(Settings)}
                self.settings = Settings(
                    **{n: v if isinstance(v, str) else int(v) for n, v in values.items()}
                )
                for name in ("frames", "labels", "boxes", "lit"):
                    check_stored(self.path, self._file[name])
                self.labels, self.boxes, self.lit = (self._file[n][:] for n in ("labels", "boxes", "lit"))
                self._frames = self._file["frames"]
            expected = (self.settings.n_sequences, SEQUENCE_FRAMES)
            if self.labels.shape != expected or self._frames.shape != (*expected, SIZE_PX, SIZE_PX):
                raise InputError(f"{path}: expected frames {expected}, got {self._frames.shape}")
        except InputError:
            self.close()
            raise

    def frames(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return sequences start..stop-1 as pictures, uint8 (n, 20, 225, 225)."""
        with readable(self.path, "Moving-MNIST file"):
            return self._frames[start:stop]

    def window(self, index: int, start: int, n_frames: int) -> np.ndarray:
        """Return frames start..start+n_frames-1 of one sequence, uint8 (n_frames, 225, 225)."""
        with readable(self.path, "Moving-MNIST file"):
            return self._frames[index, start : start + n_frames]

    def features(
        self, start: int = 0, stop: int | None = None, pixels: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the `intensities` of sequences start..stop-1, float32 (n, 20, C). One region, R = 1."""
        return intensities(self.frames(start, stop), pixels)

    def batches(self, n_sequences: int, pixels: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yield the features of all sequences in order, `n_sequences` at a time (the last may be fewer)."""
        for start in range(0, len(self.labels), n_sequences):
            yield self.features(start, start + n_sequences, pixels)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "MovingMNIST":
        """Return the reader itself."""
        return self

    def __exit__(self, *_) -> None:
        """Close the file."""
        self.close()
