"""What the systems on streams of features share: training windows, and scoring frame by frame."""

from collections.abc import Callable
from pathlib import Path

from data_prep.shards import list_shards
from data_prep.windows import WindowSampler
from experiments.lab.scoring.score import ClipScores, score_clips
from experiments.lab.settings.schema import Settings


def sampling(stream: str, settings: Settings) -> dict:
    """Return the keyword arguments that name a stream to the sampler and to the scorer."""
    train = settings.train
    return {
        "stream": stream
        if stream in ("temporal", "early")
        else "spatial",  # flow and gray frames: as they are
        "temporal_window_frames": train.temporal_window_frames,
        "alignment": train.alignment,
    }


def sampler(shards: Path, stream: str, train, settings: Settings, seed: int) -> WindowSampler:
    """Return the sampler of training windows."""
    return WindowSampler(
        list_shards(shards, "train"),
        window_frames=train.window_frames,
        batch_clips=train.batch_clips,
        seed=seed,
        **sampling(stream, settings),
    )


def streaming_scorer(shards: Path, stream: str, settings: Settings, streaming: Callable) -> Callable:
    """Return the `scorer` of a system that scores frames as they come, its state passed along."""

    def scorer(model):
        live = streaming(model)

        def score(split: str) -> list[ClipScores]:
            live.refresh()
            return score_clips(live, list_shards(shards, split), **sampling(stream, settings))

        return score

    return scorer
