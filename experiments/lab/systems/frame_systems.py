"""Conv-AE, ConvLSTM-AE and the mean frame: how each takes windows of gray frames, is trained, and is scored.

They read a `gray_frames.FrameSource`: a dataset's shards, or Moving-MNIST.
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import keras
import numpy as np

from experiments.lab.settings.schema import Settings, TrainSettings
from experiments.lab.systems.gray_frames import FrameSource
from experiments.lab.systems.inputs import LiveScores
from experiments.lab.training.fitting import Fit
from experiments.lab.training.gradients import Gradients
from experiments.lab.training.held_out import (
    ERROR,
    LOSS,
    MEAN_FRAME_ERROR,
    MEAN_FRAME_LOSS,
    HeldOut,
)
from experiments.lab.training.runs import Run
from experiments.lab.training.task import Score, Task
from models import conv_ae, conv_lstm_ae
from models.blocks import jit_compile
from models.conv_ae import CaffeAdaGrad, ConvAE, euclidean_loss
from models.conv_lstm_ae import ConvLSTMAE, reconstruction_loss


def as_channels(windows: np.ndarray) -> np.ndarray:
    """Return windows (n, T, H * W) of square frames as (n, H, W, T), the input of Conv-AE."""
    side = round(windows.shape[-1] ** 0.5)
    return windows.reshape(*windows.shape[:2], side, side).transpose(0, 2, 3, 1)


def as_video(windows: np.ndarray) -> np.ndarray:
    """Return windows (n, T, H * W) of square frames as (n, T, H, W, 1), the input of ConvLSTM-AE."""
    side = round(windows.shape[-1] ** 0.5)
    return windows.reshape(*windows.shape[:2], side, side, 1)


class MeanFrame:
    """What a network that has learned nothing but the mean training frame draws, whatever it is shown.

    Ours, no system of the paper: frames come minus that frame, so that it is zeros.
    """

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        """Return zeros like x."""
        return np.zeros_like(x)


@dataclass(frozen=True)
class Formulas:
    """How a network takes frames minus their mean, and what is made of its output.

    Attributes:
        shape: windows (n, T, H * W) -> the network's input x.
        loss: (x, output) -> what training minimizes without the decay, scalar: a mean over windows.
        errors: (x, output) -> errors of the frames as they are scored, (n, T).
        of_zeros: zeros like x -> the output of a network that draws nothing else.
        step_frames: T -> frames between the windows that are scored.
    """

    shape: Callable[[np.ndarray], np.ndarray]
    loss: Callable
    errors: Callable
    of_zeros: Callable
    step_frames: Callable[[int], int]

    def of_mean_frame(self) -> "Formulas":
        """Return these formulas for the output of `MeanFrame`."""
        loss, errors = (
            lambda x, zeros, formula=formula: formula(x, self.of_zeros(zeros))
            for formula in (self.loss, self.errors)
        )
        return replace(self, loss=loss, errors=errors)


FORMULAS = {
    # Every frame is scored once, in consecutive windows.
    "Conv-AE": Formulas(as_channels, euclidean_loss, conv_ae.frame_errors, lambda zeros: zeros, lambda T: T),
    # The second half of each window is scored, as the released code does.
    "ConvLSTM-AE": Formulas(
        as_video,
        reconstruction_loss,
        conv_lstm_ae.frame_errors,
        lambda zeros: {"current": zeros, "past": zeros[:, 1:]},
        lambda T: -(-T // 2),
    ),
}
# The row's name -> the system whose formulas, and size of frames, the mean frame is scored with.
MEAN_FRAMES = {f"mean frame (error of {system})": system for system in FORMULAS}


def build_conv_ae(settings: Settings, window_frames: int, size_px: int, seed: int) -> ConvAE:
    """Return a fresh Conv-AE, compiled."""
    options = settings.conv_ae
    wide = options.conv_ae_filters
    model = ConvAE(window_frames, (wide, wide // 2, wide // 4), size_px, seed=seed)
    rates = (options.conv_ae_learning_rate, options.conv_ae_bias_rate)
    model.compile(CaffeAdaGrad(*rates, settings.frames.adagrad_start), jit_compile=jit_compile())
    return model


def build_conv_lstm_ae(settings: Settings, window_frames: int, size_px: int, seed: int) -> ConvLSTMAE:
    """Return a fresh ConvLSTM-AE, compiled; it takes windows of any length."""
    options = settings.conv_lstm_ae
    narrow = options.conv_lstm_filters
    filters, memory = (narrow, 2 * narrow, 4 * narrow), (options.conv_lstm_memory,)
    model = ConvLSTMAE(filters, memory, size_px, seed=seed)
    rates = (options.conv_lstm_learning_rate, options.conv_lstm_bias_rate)
    model.compile(CaffeAdaGrad(*rates, settings.frames.adagrad_start), jit_compile=jit_compile())
    return model


BUILDERS = {"Conv-AE": build_conv_ae, "ConvLSTM-AE": build_conv_lstm_ae}


def own_settings(system: str, settings: Settings) -> tuple[dict, TrainSettings]:
    """Return the settings of one system, and those of its training."""
    if system == "Conv-AE":
        conv = settings.conv_ae
        own = asdict(conv)
        how = (conv.conv_ae_iterations, conv.conv_ae_batch_clips, conv.conv_ae_learning_rate)
    else:
        lstm = settings.conv_lstm_ae
        own = asdict(lstm)
        how = (lstm.conv_lstm_iterations, lstm.conv_lstm_batch_clips, lstm.conv_lstm_learning_rate)
    names = ("iterations", "batch_clips", "learning_rate")
    train = replace(settings.train, **dict(zip(names, how, strict=True)))
    every = settings.frames.frames_checkpoint_every
    return own, replace(train, checkpoint_every=every, log_every=math.gcd(train.log_every, every))


def frame_task(system: str, source: FrameSource, settings: Settings, seed: int) -> Task:
    """Return the task of Conv-AE, of ConvLSTM-AE or of a mean frame on any source of gray frames."""
    if system in MEAN_FRAMES:
        return mean_frame_task(system, source, settings)
    formulas, (own, train) = FORMULAS[system], own_settings(system, settings)
    draw = source.sampler(train.window_frames, train.batch_clips, seed)
    trainer = Gradients(
        train,
        lambda step: formulas.shape(draw(step) - source.mean),
        lambda sample: BUILDERS[system](settings, train.window_frames, source.size_px, seed),
        held_out_rule(formulas, source, settings),
    )
    config = {"model": own, "frames": asdict(settings.frames)}
    scorer = window_scorer(formulas, source, train.window_frames)
    return Task(system, source.stream, seed, source.data, config, trainer, scorer)


conv_ae_task = functools.partial(frame_task, "Conv-AE")
conv_lstm_ae_task = functools.partial(frame_task, "ConvLSTM-AE")
mean_frame_as_conv_ae_task, mean_frame_as_conv_lstm_task = (
    functools.partial(frame_task, row) for row in MEAN_FRAMES
)


def window_scorer(formulas: Formulas, source: FrameSource, window_frames: int) -> Callable:
    """Return the `scorer` (see `Task`) of a network on windows of frames minus the mean training frame."""

    def scorer(model: keras.Model) -> Score:
        def errors_of(windows: np.ndarray) -> np.ndarray:
            x = formulas.shape(windows - source.mean)
            return keras.ops.convert_to_numpy(formulas.errors(x, model.predict_on_batch(x)))

        step_frames = formulas.step_frames(window_frames)
        return lambda split: source.score(split, errors_of, window_frames, step_frames)

    return scorer


def held_out_rule(formulas: Formulas, source: FrameSource, settings: Settings) -> HeldOut:
    """Return what is measured on the frames held out, and when training stops."""
    window_frames, frames = settings.train.window_frames, settings.frames

    def measure(model: keras.Model) -> dict[str, float]:
        return dict(zip((LOSS, ERROR), held_out(formulas, source, window_frames, model), strict=True))

    @functools.cache
    def mean_frame() -> dict[str, float]:
        found = held_out(formulas.of_mean_frame(), source, window_frames, MeanFrame())
        return dict(zip((MEAN_FRAME_LOSS, MEAN_FRAME_ERROR), found, strict=True))

    return HeldOut(measure, mean_frame, frames.frames_patience_checkpoints, frames.frames_least_gain)


def held_out(
    formulas: Formulas, source: FrameSource, window_frames: int, model: keras.Model
) -> tuple[float, float]:
    """Return the loss of a model on the windows held out, and the mean of their frames' errors."""
    loss = error = 0.0
    n_windows = 0
    for windows in source.held_out(window_frames):
        x = formulas.shape(windows - source.mean)
        output = model.predict_on_batch(x)
        loss += len(x) * float(formulas.loss(x, output))
        error += len(x) * float(keras.ops.mean(formulas.errors(x, output)))
        n_windows += len(x)
    return loss / n_windows, error / n_windows


def mean_frame_task(row: str, source: FrameSource, settings: Settings) -> Task:
    """Return the task of the mean frame, scored as the system that `MEAN_FRAMES` names."""
    formulas, window_frames = FORMULAS[MEAN_FRAMES[row]], settings.train.window_frames
    model = {"error_of": MEAN_FRAMES[row], "window_frames": window_frames}
    config = {"model": model, "frames": asdict(settings.frames)}
    rule = held_out_rule(formulas, source, settings)
    trainer = Fit(MeanFrame, lambda _: rule.mean_frame())
    scorer = window_scorer(formulas.of_mean_frame(), source, window_frames)
    return Task(row, source.stream, 0, source.data, config, trainer, scorer)


def live(runs: Mapping[str, Run], settings: Settings, source: FrameSource) -> tuple[str, LiveScores]:
    """Return how Conv-AE or ConvLSTM-AE scores a live camera: window by window, see `window_scores`."""
    (run,) = runs.values()
    formulas, window_frames = FORMULAS[run.config["system"]], settings.train.window_frames
    scores = functools.partial(window_scores, run.model(), source.mean, formulas, window_frames)
    return f"a window of {window_frames} frames every {formulas.step_frames(window_frames)} frames", scores


def window_scores(
    model, mean: np.ndarray, formulas: Formulas, window_frames: int, frames: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the errors (n,) that each frame completes: those of a full window's frames not scored before.

    Args:
        model, mean, formulas: the network, the mean training frame, see `Formulas`.
        window_frames: T.
        frames: gray frames (1, H * W), frame after frame.
    """
    step_frames = formulas.step_frames(window_frames)
    recent: deque[np.ndarray] = deque(maxlen=window_frames)
    for n_seen, frame in enumerate(frames, start=1):
        recent.append(frame[0])
        if n_seen < window_frames or (n_seen - window_frames) % step_frames:
            yield np.zeros(0, np.float32)
            continue
        x = formulas.shape(np.stack(recent)[None] - mean)
        errors = keras.ops.convert_to_numpy(formulas.errors(x, model.predict_on_batch(x)))[0]
        yield errors if n_seen == window_frames else errors[-step_frames:]
