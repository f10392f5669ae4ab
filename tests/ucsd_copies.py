"""Small copies of UCSD Ped2 in its two layouts: as published, and as commonly re-packed."""

import numpy as np
import scipy.io
from PIL import Image

HEIGHT, WIDTH = 6, 8
N_FRAMES = {"train": (3, 4), "test": (5, 4)}
ABNORMAL = (slice(2, 5), slice(0, 2))  # 0-based frames of the two test clips


def write_images(folder, n, suffix, first, abnormal=None):
    folder.mkdir(parents=True)
    for number in range(n):
        image = np.full((HEIGHT, WIDTH), 40 * number % 256, np.uint8)
        if abnormal is not None:
            image[:] = 0
            image[1:3, 2:4] = 255 * (number in range(n)[abnormal])
        Image.fromarray(image).save(folder / f"{number + first:03d}{suffix}")


def make_official(data_dir):
    """UCSDped2 as UCSD ships it, with two clips a split."""
    root = data_dir / "UCSDped2"
    for split, folder in (("train", "Train"), ("test", "Test")):
        for clip, n in enumerate(N_FRAMES[split]):
            write_images(root / folder / f"{folder}{clip + 1:03d}", n, ".tif", first=1)
            if split == "test":
                write_images(
                    root / folder / f"Test{clip + 1:03d}_gt", n, ".bmp", first=1, abnormal=ABNORMAL[clip]
                )
    lines = "".join(
        f"TestVideoFile{{end+1}}.gt_frame = [{part.start + 1}:{part.stop}];\n" for part in ABNORMAL
    )
    (root / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + lines)
    (root / "Test" / "._Test001").write_bytes(b"x")
    return root


def make_repacked(data_dir, name="ped2"):
    root = data_dir / name
    for split, folder in (("train", "training"), ("test", "testing")):
        for clip, n in enumerate(N_FRAMES[split]):
            write_images(root / folder / "frames" / f"{clip + 1:02d}", n, ".jpg", first=0)
            if split == "test":
                write_images(
                    root / folder / "masks" / f"{clip + 1:02d}", n, ".png", first=0, abnormal=ABNORMAL[clip]
                )
    gt = np.empty((1, 2), object)
    for clip, part in enumerate(ABNORMAL):
        gt[0, clip] = np.array([[part.start + 1], [part.stop]], np.uint8)
    scipy.io.savemat(root / f"{name}.mat", {"gt": gt})
    return root
