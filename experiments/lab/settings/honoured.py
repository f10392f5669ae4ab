"""Which settings act: one that would act on nothing is refused, never ignored."""

from collections.abc import Sequence

from experiments.lab.settings.in_place import MovingMNISTSettings
from experiments.lab.settings.schema import ModelSettings, ScoreSettings


def idle_score_settings(score: ScoreSettings, streams: Sequence[str]) -> dict[str, str]:
    """Return the settings of the score that change nothing beside the others, each with the reason.

    Args:
        score: all of them.
        streams: what is scored: one stream, or several that are fused.
    """
    idle = {}
    if score.fusion != "paper":
        idle["normalization"] = f"fusion {score.fusion} has limits from the training errors"
    if len(streams) == 1 or score.fusion != "paper":
        idle["temporal_weight"] = "it weighs the streams of motion in fusion paper, beside the spatial one"
    if len(streams) == 1 or score.fusion != "log":
        idle["spatial_weight"] = "it weighs the spatial stream in fusion log, beside streams of motion"
    if score.smoothing_frames == 1:
        idle["smoothing"] = "smoothing_frames is 1"
    return idle


def idle_start_settings(moving_mnist: MovingMNISTSettings) -> dict[str, str]:
    """Return the settings of sRNN-AE that the start on Moving-MNIST sets itself, each with the reason."""
    return {"gamma": "mnist_start principal sets it"} if moving_mnist.mnist_start == "principal" else {}


def idle_model_settings(model: ModelSettings) -> dict[str, str]:
    """Return the settings of sRNN-AE that change nothing beside the others, each with the reason."""
    if model.similarity == "gaussian":
        return dict.fromkeys(("similarity_units", "mnist_similarity_units"), "similarity is gaussian")
    return {"delta_squared": "similarity is learned"}
