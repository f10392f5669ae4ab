"""Every setting of a run: its default is the paper's, its name is its flag (`--set name=value`).

"Sec." and "Eq." cite the paper; `choice` marks what the paper leaves open, `cited` what another source gives.
DEVIATIONS.md and docs/ say what the choices do that were measured.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, replace

from data_prep.errors import InputError
from experiments.lab.settings.in_place import MovingMNISTSettings, WindowSettings
from experiments.lab.settings.limits import typed
from experiments.lab.settings.names import meaning
from experiments.lab.settings.quoted import QuotedSettings
from experiments.lab.settings.sources import choice, cited, later

LUO_2017 = "Luo et al. 2017, released configuration"
HASAN_2016 = "Hasan et al. 2016, released configuration"


@dataclass(frozen=True)
class FeatureSettings:
    """What the backbone gives for each frame."""

    backbone: str = choice("resnet50")  # with ImageNet weights; Sec. 4.1: a ResNet pretrained on UCF101
    layer: str = choice("last")  # the paper names none; "conv2", "conv3", "conv4", or several: "conv3+conv4"
    input_size_px: int = choice(224)  # the ResNet's own
    pooling: str = "max"  # Sec. 3.6; "mean" is the released code's
    pyramid: str = "1,2,4"  # Sec. 3.6
    feature_normalization: str = "none"  # see `data_prep.normalization`
    feature_dtype: str = choice("float16")  # as stored
    feature_compute_dtype: str = later("float32")  # of the network's convolutions, or "float16"


@dataclass(frozen=True)
class FlowSettings:
    """Optical flow (Sec. 4.7); see `data_prep.optical_flow`."""

    flow_size_px: int = choice(224)  # frames that TV-L1 works on; the network's own size
    flow_warps: int = choice(5)  # OpenCV's default of TV-L1
    flow_input_size_px: int = choice(224)  # the ResNet's own
    # "picture": one flow, as colors; "windows": no network, see `WindowSettings`
    flow_input: str = cited("stack", "Simonyan and Zisserman 2014")
    flow_weights: str = choice("")  # a file; empty: the backbone's, its first filters averaged over RGB


@dataclass(frozen=True)
class ModelSettings:
    """sRNN-AE; see `models.sista.StackedRNN`."""

    n_atoms: int = 2048  # Sec. 4.4
    depth: int = 3  # Sec. 3.4
    similarity: str = "learned"  # Sec. 3.5
    delta_squared: float = 100.0  # footnote 2
    similarity_units: int = 512  # Sec. 4.1
    first_layer: str = choice("algorithm1")  # Algorithm 1 against Eq. (7)
    threshold: str = "nonnegative"  # Algorithm 1
    weight_decay: float = 0.005  # Sec. 3.4
    trainable_lambda2: bool = True  # Sec. 3.4; Table 6's Gaussian row fixes it
    trainable_initial_codes: bool = True  # Sec. 3.4
    gamma: float = choice(1.0)  # the released configuration's
    lambda1: float = choice(0.1)  # likewise
    lambda2: float = choice(0.01)  # likewise
    positive_scalars: bool = choice(True)  # these three; the released code leaves them free
    compute_dtype: str = later("float32")  # of the matrix products; "bfloat16": see `models.products`

    def __post_init__(self) -> None:
        """Check what two settings say together."""
        if self.threshold == "two_sided" and self.compute_dtype == "bfloat16":
            raise InputError(
                "setting compute_dtype: expected float32 beside threshold two_sided, got bfloat16: codes of "
                "both signs grow along clips where A^T A is rounded"
            )


@dataclass(frozen=True)
class TSCSettings:
    """TSC; see `models.tsc`. Its threshold and compute_dtype are those of `ModelSettings`."""

    tsc_n_atoms: int = 2048  # Sec. 4.4
    tsc_depth: int = 30  # Sec. 4.8, Table 10
    tsc_lambda1: float = choice(
        2.0
    )  # not given; keeps 95 % of the energy of the thin network's features (docs/tsc.md)
    tsc_lambda2: float = 2.0  # Sec. 4.4
    tsc_delta_squared: float = 100.0  # footnote 2
    tsc_alternations: int = choice(10)  # not given
    tsc_update_steps: int = choice(50)  # not given
    atom_norm: str = "at_most_one"  # Eq. (3); "unit" is Sec. 4.1's
    tsc_coding: str = "sista"  # Algorithm 1; "exact" solves each frame
    tsc_windows: int = choice(0)  # windows coded in each alternation; 0 for all frames


@dataclass(frozen=True)
class TrainSettings:
    """RMSProp on Eq. (9)."""

    iterations: int = 20_000  # Sec. 4.1
    batch_clips: int = 4  # Sec. 4.1
    window_frames: int = 10  # Sec. 4.1
    learning_rate: float = 1e-5  # Sec. 4.1
    rho: float = choice(0.9)  # the released configuration's
    epsilon: float = choice(1e-10)  # likewise
    slot_start: float = choice(0.0)  # TF1's RMSProp starts its mean square at 1
    temporal_window_frames: int = 4  # Sec. 3.6
    alignment: str = choice("causal")  # "centered" looks ahead
    checkpoint_every: int = choice(1000)  # the released code's
    log_every: int = choice(100)


@dataclass(frozen=True)
class ScoreSettings:
    """From region errors to a frame's regularity score; a trained run is not touched by these."""

    frame_error: str = "max"  # Sec. 3.7
    appearance: str = "spatial"  # Sec. 3.6; "none" leaves the spatial stream out
    motion: str = "temporal"  # Sec. 3.6: the streams added to the spatial one; "flow" is Sec. 4.7's
    fusion: str = "paper"  # Sec. 3.7; "calibrated", "log": see `experiments.lab.scoring.fusion`
    normalization: str = "per_clip"  # Eq. (14), of fusion "paper"; "global" and "train" stand beside it
    temporal_weight: float = 0.5  # Sec. 4.1; of each stream of motion, in fusion "paper"
    spatial_weight: float = choice(0.25)  # of the spatial stream, in fusion "log"
    smoothing_frames: int = choice(1)  # s(t) as it is; 5: the mean of five frames
    smoothing: str = choice("centered")  # around the frame, so that it looks ahead; "causal": the last frames
    checkpoint: str = choice("last")  # "best_on_test" is what the released code prints

    def __post_init__(self) -> None:
        """Check what two settings say together."""
        if self.smoothing == "centered" and self.smoothing_frames % 2 == 0:
            raise InputError(
                f"setting smoothing_frames: expected an odd number of frames, got {self.smoothing_frames}"
            )

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the streams that are fused late, the spatial one first."""
        appearance = () if self.appearance == "none" else ("spatial",)
        return (*appearance, *self.motion.split("+"))


@dataclass(frozen=True)
class LSTMSettings:
    """LSTM-AE; see `models.lstm_ae`. Its windows and iterations are those of sRNN-AE."""

    lstm_units: int = choice(2048)  # as wide as the dictionary
    lstm_learning_rate: float = choice(1e-3)  # Keras's default for RMSProp
    lstm_epsilon: float = choice(1e-7)  # likewise


@dataclass(frozen=True)
class ConvAESettings:
    """Conv-AE, on gray frames; see `models.conv_ae`."""

    conv_ae_size_px: int = cited(227, "Hasan et al. 2016")
    conv_ae_filters: int = cited(512, "Hasan et al. 2016")  # then a half and a quarter
    conv_ae_iterations: int = cited(200_000, HASAN_2016)  # at most, see FrameSettings
    conv_ae_batch_clips: int = cited(64, HASAN_2016)
    conv_ae_learning_rate: float = cited(1e-4, HASAN_2016)
    conv_ae_bias_rate: float = cited(1.0, HASAN_2016)  # times the learning rate


@dataclass(frozen=True)
class ConvLSTMAESettings:
    """ConvLSTM-AE, on gray frames; see `models.conv_lstm_ae`."""

    conv_lstm_size_px: int = cited(225, LUO_2017)
    conv_lstm_filters: int = cited(128, LUO_2017)  # then two and four times as many
    conv_lstm_memory: int = cited(512, LUO_2017)
    conv_lstm_iterations: int = cited(50_000, LUO_2017)  # at most, see FrameSettings
    conv_lstm_batch_clips: int = cited(8, LUO_2017)
    conv_lstm_learning_rate: float = cited(1e-3, LUO_2017)
    conv_lstm_bias_rate: float = cited(2.0, LUO_2017)  # times the learning rate


@dataclass(frozen=True)
class FrameSettings:
    """How both are trained, and until when; see `models.conv_ae.CaffeAdaGrad`, `training.held_out`."""

    adagrad_start: float = cited(0.0, "Caffe")  # of its sum of squares; Keras' own is 0.1
    frames_hold_out_every: int = choice(8)  # of so many training clips one is held out
    frames_checkpoint_every: int = choice(1000)  # iterations
    frames_patience_checkpoints: int = choice(5)  # without a gain, then training stops
    frames_least_gain: float = choice(0.01)  # of the loss on held-out clips


@dataclass(frozen=True)
class BaselineSettings:
    """Nearest Subspace, OC-SVM and Nearest Neighbor on whole-frame features, and on flow windows."""

    n_subspace_atoms: int = 1000  # Sec. 4.3
    svm_nu: float = choice(0.5)  # scikit-learn's default
    svm_exact_rows: int = choice(5000)  # beyond, Nystroem features
    svm_components: int = choice(300)  # Nystroem features
    n_neighbors: int = choice(5)
    neighbor_rows: int = choice(5_000)  # at most, an even sample


@dataclass(frozen=True)
class SweepSettings:
    """What a point of a sweep (Figs. 7 and 8) has of a full run: at most so many, 0 for all."""

    sweep_streams: str = "spatial"  # Sec. 4.4; Fig. 8's AUC at K = 3 is that of "late_fusion" (Table 9)
    sweep_iterations: int = choice(0)  # of sRNN-AE
    sweep_alternations: int = choice(0)  # of TSC
    sweep_n_atoms: int = choice(0)  # of both, where the dictionary size is not swept


@dataclass(frozen=True)
class WalkwaySettings:
    """Size of the embedded dataset."""

    n_train_clips: int = choice(8)
    n_test_clips: int = choice(6)
    clip_frames: int = choice(120)
    walkway_seed: int = choice(0)


@dataclass(frozen=True)
class Settings:
    """All settings of one profile."""

    features: FeatureSettings = field(default_factory=FeatureSettings)
    flow: FlowSettings = field(default_factory=FlowSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    tsc: TSCSettings = field(default_factory=TSCSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    lstm_ae: LSTMSettings = field(default_factory=LSTMSettings)
    conv_ae: ConvAESettings = field(default_factory=ConvAESettings)
    conv_lstm_ae: ConvLSTMAESettings = field(default_factory=ConvLSTMAESettings)
    frames: FrameSettings = field(default_factory=FrameSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    quoted: QuotedSettings = field(default_factory=QuotedSettings)
    sweep: SweepSettings = field(default_factory=SweepSettings)
    moving_mnist: MovingMNISTSettings = field(default_factory=MovingMNISTSettings)
    walkway: WalkwaySettings = field(default_factory=WalkwaySettings)

    def __post_init__(self) -> None:
        """Check what two groups say together."""
        windows = "flow" in self.score.streams and self.flow.flow_input == "windows"
        if windows and self.score.frame_error != "max":
            raise InputError(
                f"setting frame_error: expected max beside flow_input windows, got {self.score.frame_error}"
            )

    def override(self, /, **values):
        """Return a copy with the named settings replaced, in whichever group they stand.

        Raises:
            InputError: an unknown name, or a value that is not of the setting's type.
        """
        group_of = {f.name: group.name for group in fields(self) for f in fields(getattr(self, group.name))}
        groups: dict[str, dict] = {}
        for name, value in values.items():
            group = group_of.get(name)
            if group is None:
                raise InputError(f"setting {name!r}: unknown; {meaning(name, list(group_of))}")
            kind = type(getattr(getattr(self, group), name))
            groups.setdefault(group, {})[name] = typed(name, value, kind)
        return replace(self, **{g: replace(getattr(self, g), **changed) for g, changed in groups.items()})

    def scored_at_end(self, log_every: int) -> "Settings":
        """Return a copy whose one checkpoint is the last iteration, and that logs every `log_every` or so."""
        iterations = self.train.iterations
        return self.override(checkpoint_every=iterations, log_every=math.gcd(iterations, log_every))


def config_hash(config: dict) -> str:
    """Return 8 hex digits that stand for a configuration (nested plain values).

    A setting of `LATER` that has its default is left out: a run that was made before there was such a setting
    has the same hash, and so the same folder, as one that is made with its default.
    """
    return hashlib.sha256(json.dumps(without_later(config), sort_keys=True).encode()).hexdigest()[:8]


def without_later(value):
    """Return nested plain values without the settings of `LATER` that have their default."""
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in LATER or one != LATER[name]}
        return {name: without_later(one) for name, one in kept.items()}
    return [without_later(one) for one in value] if isinstance(value, list | tuple) else value


PAPER = Settings()
# Settings that came after the first runs -> their defaults, see `sources.later`.
LATER = {
    f.name: f.default
    for group in fields(PAPER)
    for f in fields(getattr(PAPER, group.name))
    if f.metadata.get("later")
}
