"""Small shards and datasets that the tests make themselves."""

from pathlib import Path

import numpy as np

from data_prep.shards import ShardInfo, write_shard

REGIONS, CHANNELS = 21, 6


def write_clip(folder: Path, split: str, clip: str, features: np.ndarray, labels=None, boxes=None) -> Path:
    """Write one shard of features (n, R, C), of windows where they have boxes, and return its path."""
    labels = np.zeros(len(features), np.uint8) if labels is None else np.asarray(labels, np.uint8)
    info = ShardInfo(
        dataset="synthetic",
        split=split,
        clip=clip,
        n_frames=len(features),
        source_sha256="",
        backbone="none",
        weights_sha256="",
        layer="last",
        input_size_px=32,
        resizing="none",
        pooling="max",
        dtype="float32",
    )
    path = folder / split / f"{clip}.h5"
    write_shard(path, [features], info, labels, boxes)
    return path


def write_dataset(folder: Path, seed=0, n_train=3, n_frames=24, channels=CHANNELS) -> Path:
    """Write smooth low-rank training clips, and two test clips whose middle third leaves that subspace."""
    rng = np.random.default_rng(seed)
    basis = rng.uniform(0, 1, (2, channels))
    anomaly = rng.uniform(0, 3, channels)

    def clip():
        phase = np.linspace(0, 3, n_frames)[:, None] + rng.uniform(0, 6, (1, REGIONS))
        weights = np.stack([1 + np.sin(phase), 1 + np.cos(phase)], -1)
        return (weights @ basis).astype(np.float32)

    for index in range(n_train):
        write_clip(folder, "train", f"{index + 1:02d}", clip())
    for index in range(2):
        features, labels = clip(), np.zeros(n_frames, np.uint8)
        labels[n_frames // 3 : 2 * n_frames // 3] = 1
        features[labels == 1, 7] += anomaly.astype(np.float32)
        write_clip(folder, "test", f"{index + 1:02d}", features, labels)
    return folder
