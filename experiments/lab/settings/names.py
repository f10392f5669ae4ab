"""What a name that is no setting was meant to be: the paper's letter, or a setting spelled nearly so."""

import difflib
from collections.abc import Sequence

# Letters of the paper, and what people call settings elsewhere -> our name for them.
MEANINGS = {
    "K": "depth (of TSC: tsc_depth)",
    "N": "n_atoms (of TSC: tsc_n_atoms)",
    "T": "window_frames",
    "B": "batch_clips",
    "R": "pyramid",
    "beta": "temporal_weight (Sec. 3.7) or weight_decay (Eq. 9)",
    "lambda_1": "lambda1 (of TSC: tsc_lambda1)",
    "lambda_2": "lambda2 (of TSC: tsc_lambda2)",
    "alpha_0": "trainable_initial_codes",
    "delta": "delta_squared (of TSC: tsc_delta_squared)",
    "S": "similarity",
    "lr": "learning_rate",
    "steps": "iterations",
    "epochs": "iterations",
    "batch_size": "batch_clips",
}
FEW = 4


def meaning(name: str, known: Sequence[str]) -> str:
    """Return in words what an unknown name may mean: `K is depth`, `did you mean depth?`.

    Args:
        name: as given.
        known: every setting.
    """
    plain = {letter.lower().replace("_", ""): letter for letter in MEANINGS}
    letter = name if name in MEANINGS else plain.get(name.lower().replace("_", "").replace("-", ""))
    if letter is not None:
        return f"{name} is {MEANINGS[letter]}"
    near = sorted((one for one in known if name.lower() in one), key=len)[:FEW] if len(name) > 2 else []
    near += difflib.get_close_matches(name.lower(), known, FEW)
    if near:
        return f"did you mean {' or '.join(dict.fromkeys(near[:FEW]))}?"
    return "experiments/lab/settings/schema.py has all of them"
