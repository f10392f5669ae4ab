"""The default dataset: a rendered walkway, seen by a fixed camera, for machines that have no dataset.

People walk in both directions. Training clips show nothing else; each test clip shows one of three anomalies
once: a cyclist, a cart or a runner, who enters and leaves. Labels and masks come from the renderer: a mask
holds the pixels that the anomalous object covers by half or more (its shadow is none of it), and a frame is
abnormal when these are at least MIN_VISIBLE_PX; below that its mask is empty.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from data_prep.errors import InputError
from data_prep.files import locked, one_line, remove_leftovers, written_whole
from data_prep.memory import check_fits
from data_prep.walkway.figures import HEIGHT_PX, WIDTH_PX
from data_prep.walkway.scene import ANOMALIES, MIN_CLIP_FRAMES, MIN_VISIBLE_PX, Rendering, render_clip

__all__ = [
    "ANOMALIES",
    "MIN_CLIP_FRAMES",
    "MIN_VISIBLE_PX",
    "Rendering",
    "generate",
    "generate_under",
    "is_finished",
    "render_clip",
]

BYTES_PER_FRAME = 2 * 4 * HEIGHT_PX * WIDTH_PX  # rendered and stacked, color and mask
_ENCODING = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 93], ".png": []}


def generate(
    root: Path, seed: int = 0, n_train_clips: int = 8, n_test_clips: int = 6, clip_frames: int = 120
) -> Path:
    """Write the dataset as `root/walkway` in the re-packed layout and return that folder.

    Frames are JPG of 240x160 px. A finished folder with the same settings is left as it is; another one is
    never replaced. The same settings give the same bytes.
    Raises InputError: counts that are too small, a folder of this name that holds something else, one that
    cannot be written.
    """
    settings = Rendering(seed, n_train_clips, n_test_clips, clip_frames)
    if min(n_train_clips, n_test_clips) < 1 or clip_frames < MIN_CLIP_FRAMES or seed < 0:
        raise InputError(
            f"walkway: bad settings, expected 1 clip or more a split, {MIN_CLIP_FRAMES} frames or more "
            f"and a seed of 0 or more, got {settings}"
        )
    check_fits(f"walkway: clips of {clip_frames} frames", clip_frames * BYTES_PER_FRAME)
    folder = Path(root) / "walkway"
    if is_finished(folder, settings):
        return folder
    try:
        with locked(Path(root)):
            if not is_finished(folder, settings):
                _refuse_to_replace(folder, settings)
                remove_leftovers(folder)
                with written_whole(folder) as temporary:
                    _write_dataset(temporary, settings)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written, {one_line(error)}") from error
    return folder


def generate_under(parent: Path, settings: Rendering) -> Path:
    """Return the folder of datasets that holds the walkway of these settings, which are in its name.

    It is `parent/walkway-<hash of the settings>`, so walkways of other settings stand beside it.
    """
    digest = hashlib.sha256(_to_json(settings).encode()).hexdigest()
    root = Path(parent) / f"walkway-{digest[:8]}"
    generate(root, settings.seed, settings.n_train_clips, settings.n_test_clips, settings.clip_frames)
    return root


def _refuse_to_replace(folder: Path, settings: Rendering) -> None:
    """Raise InputError where something is in the folder, whoever has put it there."""
    inside = sorted(path.name for path in folder.glob("*"))
    if not inside:
        return
    stored = folder / "walkway.json"
    same = stored.is_file() and stored.read_bytes() == _to_json(settings).encode()
    fault = "files are missing or too many" if same else f"it holds {inside[0]}, no walkway of these settings"
    raise InputError(f"{folder}: will not be replaced, {fault}; delete it yourself, or give another --out")


def is_finished(folder: Path, settings: Rendering) -> bool:
    """Tell whether the folder was generated with these settings and no file of it is missing."""
    stored = folder / "walkway.json"
    if not stored.is_file() or stored.read_bytes() != _to_json(settings).encode():
        return False
    n_train_frames = settings.n_train_clips * settings.clip_frames
    n_test_frames = settings.n_test_clips * settings.clip_frames
    expected = {
        "training/frames/*/*.jpg": n_train_frames,
        "testing/frames/*/*.jpg": n_test_frames,
        "testing/masks/*/*.png": n_test_frames,
        "testing/test_frame_mask/*.npy": settings.n_test_clips,
    }
    return all(sum(1 for _ in folder.glob(pattern)) == count for pattern, count in expected.items())


def _write_dataset(folder: Path, settings: Rendering) -> None:
    """Write every clip and, last, `walkway.json`."""
    for split, n_clips in (("train", settings.n_train_clips), ("test", settings.n_test_clips)):
        for clip in range(n_clips):
            frames, masks = render_clip(settings, split, clip)
            name = f"{clip + 1:02d}"
            _write_images(folder / f"{split}ing" / "frames" / name, frames[..., ::-1], ".jpg")
            if split == "test":
                _write_images(folder / "testing" / "masks" / name, masks * np.uint8(255), ".png")
                labels = folder / "testing" / "test_frame_mask" / f"{name}.npy"
                labels.parent.mkdir(exist_ok=True)
                np.save(labels, masks.any(axis=(1, 2)).astype(np.uint8))
    with open(folder / "walkway.json", "w") as file:
        file.write(_to_json(settings))
        file.flush()
        os.fsync(file.fileno())


def _write_images(folder: Path, images: np.ndarray, suffix: str) -> None:
    """Write images (n, H, W[, 3 BGR]) as 000, 001, ..."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        _, content = cv2.imencode(suffix, image, _ENCODING[suffix])
        (folder / f"{number:03d}{suffix}").write_bytes(content.tobytes())


def _to_json(settings: Rendering) -> str:
    """Return the settings as the text of `walkway.json`."""
    return json.dumps(asdict(settings), indent=2) + "\n"
