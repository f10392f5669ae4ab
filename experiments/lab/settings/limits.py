"""What a setting may be: its type, the allowed words, the least and greatest number, sizes that tile."""

import numpy as np

from data_prep.errors import InputError
from data_prep.terminal import number

CHOICES = {
    "pooling": ("max", "mean"),
    "pyramid": ("1", "1,2", "1,2,4", "1,2,4,8"),
    "feature_normalization": ("none", "l2", "standardized"),
    "feature_dtype": ("float16", "float32"),
    "feature_compute_dtype": ("float32", "float16"),
    "flow_input": ("stack", "picture", "windows"),
    "windows_alignment": ("causal", "centered"),
    "appearance": ("spatial", "none"),
    "similarity": ("learned", "gaussian"),
    "first_layer": ("algorithm1", "eq7"),
    "threshold": ("nonnegative", "two_sided"),
    "compute_dtype": ("float32", "bfloat16"),
    "alignment": ("causal", "centered"),
    "frame_error": ("max", "scale_mean", "frame"),
    "fusion": ("paper", "calibrated", "log"),
    "smoothing": ("centered", "causal"),
    "normalization": ("per_clip", "global", "train"),
    "motion": ("temporal", "flow", "temporal+flow"),
    "checkpoint": ("last", "best_on_test"),
    "mnist_start": ("principal", "own"),
    "atom_norm": ("at_most_one", "unit"),
    "tsc_coding": ("sista", "exact"),
    "reddy_rule": ("either", "both"),
    "del_giorno_frame": ("mean", "max"),
    "hinami_detector": ("nearest", "svm", "density"),
    "sweep_streams": ("spatial", "late_fusion"),
}
AT_LEAST: dict[str, float] = {
    "weight_decay": 0.0,
    "lambda1": 0.0,
    "lambda2": 0.0,
    "learning_rate": 0.0,
    "slot_start": 0.0,
    "adagrad_start": 0.0,
    "frames_hold_out_every": 2,  # of one clip in one nothing is left to train on
    "frames_least_gain": 0.0,
    "temporal_weight": 0.0,
    "spatial_weight": 0.0,
    "walkway_seed": 0,
    "mnist_seed": 0,
    "tsc_windows": 0,
    "sweep_iterations": 0,
    "sweep_alternations": 0,
    "sweep_n_atoms": 0,
    "windows_px": 4.0,
    "windows_least_px": 4.0,
    "conv_ae_size_px": 23,
    "conv_lstm_size_px": 17,
}
MOST: dict[type, float] = {
    int: 2**31 - 1,
    float: float(np.finfo(np.float32).max),
}  # models compute in float32
AT_MOST = {
    "temporal_weight": 1.0,
    "spatial_weight": 1.0,
    "rho": 1.0,
    "frames_least_gain": 1.0,
    "reddy_known": 1.0,
    "mppca_latent": 35,  # of 36 dimensions; the noise is what is left
}
# Sides of frames that the strided convolutions tile: the rest modulo the stride.
TILED = {"conv_ae_size_px": (4, 3), "conv_lstm_size_px": (16, 1)}
BOOLS = {"true": True, "false": False}


def typed(name, value, kind):
    """Return the value of a setting as `kind`; text is parsed, as it comes from the command line.

    Raises InputError: a value that it may not have.
    """
    if isinstance(value, str) and kind is not str:
        try:
            value = BOOLS[value.lower()] if kind is bool else number(value, kind)
        except (KeyError, ValueError):
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
    if kind in MOST and value > (most := AT_MOST.get(name, MOST[kind])):
        raise InputError(f"setting {name}: expected at most {most}, got {value}")
    if name in TILED and value % TILED[name][0] != TILED[name][1]:
        divisor, rest = TILED[name]
        raise InputError(
            f"setting {name}: expected {rest} modulo {divisor} for the convolutions, got {value}"
        )
    return value
