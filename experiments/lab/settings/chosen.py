"""One recommendation for any fixed camera: the settings of `--chosen`.

`experiments.choose_on_scenes` chose them on labelled development scenes, by the rule of docs/choosing.md.
Ped2 took no part in it.
"""

CHOSEN_ROW = "{}, chosen settings"  # of a table, beside the system's own
CHOSEN: dict[str, object] = {
    "backbone": "thin_resnet50",
    "n_atoms": 256,
    "learning_rate": 1e-4,
    "iterations": 300,
    "checkpoint_every": 50,
    "log_every": 50,
    "motion": "flow",
    "appearance": "none",
    "flow_input": "windows",
    "windows_alignment": "centered",
    "windows_iterations": 1000,
    "windows_tsc_lambda1": 0.005,
    "windows_n_subspace_atoms": 8,
    "fusion": "calibrated",
}
