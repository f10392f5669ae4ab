"""Every setting of a run: its default is the paper's, its name is its flag (`--set name=value`).

"Sec." and "Eq." cite the paper; "choice" marks what the paper leaves open, listed in DEVIATIONS.md.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field, fields, replace

from data_prep.errors import InputError

# What a setting may be, beyond its type: the allowed words, or the least number.
CHOICES = {
    "pooling": ("max", "mean"),
    "similarity": ("learned", "gaussian"),
    "first_layer": ("algorithm1", "eq7"),
    "threshold": ("nonnegative", "two_sided"),
    "alignment": ("causal", "centered"),
    "frame_error": ("max", "scale_mean", "frame"),
    "normalization": ("per_clip", "global", "train"),
    "checkpoint": ("last", "best_on_test"),
}
AT_LEAST = {
    "weight_decay": 0.0,
    "lambda1": 0.0,
    "lambda2": 0.0,
    "learning_rate": 0.0,
    "slot_start": 0.0,
    "temporal_weight": 0.0,
    "walkway_seed": 0,
}


@dataclass(frozen=True)
class FeatureSettings:
    """What the backbone gives for each frame."""

    backbone: str = "resnet50"  # Sec. 4.1 (a ResNet pretrained on UCF101; choice: ImageNet)
    layer: str = "last"  # Sec. 3.6
    input_size_px: int = 224  # choice: the ResNet's own
    pooling: str = "max"  # Sec. 3.6; "mean" is the released code's


@dataclass(frozen=True)
class ModelSettings:
    """sRNN-AE; see `models.sista.StackedRNN`."""

    n_atoms: int = 2048  # Sec. 4.4
    depth: int = 3  # Sec. 3.4
    similarity: str = "learned"  # Sec. 3.5
    delta_squared: float = 100.0  # footnote 2
    similarity_units: int = 512  # Sec. 4.1
    first_layer: str = "algorithm1"  # choice: Algorithm 1 against Eq. (7)
    threshold: str = "nonnegative"  # Algorithm 1
    weight_decay: float = 0.005  # Sec. 3.4
    trainable_lambda2: bool = True  # Sec. 3.4; Table 6's Gaussian row fixes it
    trainable_initial_codes: bool = True  # Sec. 3.4
    gamma: float = 1.0  # choice: the released configuration's
    lambda1: float = 0.1  # choice: likewise
    lambda2: float = 0.01  # choice: likewise


@dataclass(frozen=True)
class TrainSettings:
    """RMSProp on Eq. (9)."""

    iterations: int = 20_000  # Sec. 4.1
    batch_clips: int = 4  # Sec. 4.1
    window_frames: int = 10  # Sec. 4.1
    learning_rate: float = 1e-5  # Sec. 4.1
    rho: float = 0.9  # choice: the released configuration's
    epsilon: float = 1e-10  # choice: likewise
    slot_start: float = 0.0  # choice: TF1's RMSProp starts its mean square at 1
    temporal_window_frames: int = 4  # Sec. 3.6
    alignment: str = "causal"  # choice: "centered" looks ahead
    checkpoint_every: int = 1000  # choice: the released code's
    log_every: int = 100


@dataclass(frozen=True)
class ScoreSettings:
    """From region errors to a frame's regularity score; a trained run is not touched by these."""

    frame_error: str = "max"  # Sec. 3.7
    normalization: str = "per_clip"  # Eq. (14); "global" and "train" stand beside it
    temporal_weight: float = 0.5  # Sec. 4.1
    checkpoint: str = "last"  # choice: "best_on_test" is what the released code prints


@dataclass(frozen=True)
class BaselineSettings:
    """Nearest Subspace and OC-SVM on whole-frame features."""

    n_subspace_atoms: int = 1000  # Sec. 4.3
    svm_nu: float = 0.5  # choice: scikit-learn's default
    svm_exact_rows: int = 5000  # choice: beyond, Nystroem features
    svm_components: int = 300  # choice: Nystroem features


@dataclass(frozen=True)
class WalkwaySettings:
    """Size of the embedded dataset."""

    n_train_clips: int = 8
    n_test_clips: int = 6
    clip_frames: int = 120
    walkway_seed: int = 0


@dataclass(frozen=True)
class Settings:
    """All settings of one profile."""

    features: FeatureSettings = field(default_factory=FeatureSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    baselines: BaselineSettings = field(default_factory=BaselineSettings)
    walkway: WalkwaySettings = field(default_factory=WalkwaySettings)

    def override(self, **values):
        """Return a copy with the named settings replaced, in whichever group they stand.

        Raises:
            InputError: an unknown name, or a value that is not of the setting's type.
        """
        groups = {}
        for name, value in values.items():
            group = next((g for g in fields(self) if hasattr(getattr(self, g.name), name)), None)
            if group is None:
                known = [f.name for g in fields(self) for f in fields(getattr(self, g.name))]
                raise InputError(f"setting {name!r}: unknown, expected one of {', '.join(known)}")
            groups.setdefault(group.name, {})[name] = _typed(
                name, value, type(getattr(getattr(self, group.name), name))
            )
        return replace(self, **{g: replace(getattr(self, g), **changed) for g, changed in groups.items()})

    def as_dict(self):
        """Return nested plain dicts."""
        return dataclasses.asdict(self)


def _typed(name, value, kind):
    """Return the value as `kind`; text is parsed, as it comes from the command line."""
    if isinstance(value, str) and kind is not str:
        try:
            value = json.loads(value.lower()) if kind is bool else kind(value.replace("_", ""))
        except ValueError:
            raise InputError(f"setting {name}: expected {kind.__name__}, got {value!r}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"setting {name}: expected {kind.__name__}, got {value!r}")
    if name in CHOICES and value not in CHOICES[name]:
        raise InputError(f"setting {name}: expected one of {', '.join(CHOICES[name])}, got {value!r}")
    least = AT_LEAST.get(name, 1 if kind is int else 0.0)
    if kind in (int, float) and not value >= least:
        raise InputError(f"setting {name}: expected at least {least}, got {value}")
    return value


def config_hash(config: dict) -> str:
    """Return 8 hex digits that stand for a configuration (nested plain values)."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]


PAPER = Settings()
PROFILES = {
    "paper": PAPER,
    # Half the atoms and 1/40 of the iterations of the paper: minutes instead of hours on two cores.
    "quick": PAPER.override(
        n_atoms=1024,
        iterations=500,
        checkpoint_every=100,
        log_every=10,
        n_subspace_atoms=500,  # as many for 1024 channels as the paper has for 2048
    ),
    "smoke": PAPER.override(
        input_size_px=96,
        n_atoms=64,
        similarity_units=32,
        iterations=20,
        checkpoint_every=10,
        log_every=2,
        n_train_clips=2,
        n_test_clips=3,
        clip_frames=40,
        n_subspace_atoms=16,
    ),
}
DEFAULT_SEEDS = {"smoke": 1, "quick": 1, "paper": 3}
