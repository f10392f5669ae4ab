"""The settings that were chosen on normal data: those of `--chosen`."""

from data_prep.errors import InputError

# What `experiments.choose_on_normal --set backbone=NAME` chose for a backbone without a label of Ped2. The
# first, whose criterion is higher (DEVIATIONS.md), is that of `--chosen`, unless --set names the other.
_CHOSEN_FOR_BOTH = {
    "n_atoms": 256,
    "learning_rate": 1e-3,
    "iterations": 300,
    "checkpoint_every": 50,
    "log_every": 50,
    "n_subspace_atoms": 375,
    "layer": "conv3+conv4",
    "input_size_px": 448,
    "feature_normalization": "standardized",
    "frame_error": "max",
    "smoothing_frames": 5,
    "flow_input": "picture",
    "flow_input_size_px": 224,
    "flow_size_px": 80,
    "flow_warps": 1,
}
CHOSEN = {
    "resnet50": {"backbone": "resnet50", **_CHOSEN_FOR_BOTH, "motion": "temporal"},
    "thin_resnet50": {"backbone": "thin_resnet50", **_CHOSEN_FOR_BOTH, "motion": "flow"},
}


def chosen_settings(backbone: str | None = None) -> dict:
    """Return the settings chosen on normal data for a backbone; for None, for the one that did best there.

    Raises:
        InputError: nothing was chosen for this backbone.
    """
    backbone = backbone or next(iter(CHOSEN))
    if backbone not in CHOSEN:
        raise InputError(
            f"--chosen: nothing was chosen for backbone {backbone}, only for {', '.join(CHOSEN)}"
        )
    return CHOSEN[backbone]
