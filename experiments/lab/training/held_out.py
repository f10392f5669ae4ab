"""When training has learned what it can: the error on frames that are held out from training stops falling.

At each checkpoint the training loss (its reconstruction alone) is taken on windows held out. A checkpoint
gains where that is below the last gain's by `least_gain` of it, the first always. Training stops after
`patience_checkpoints` checkpoints without a gain, or at the end of its iterations; the last checkpoint that
gained is kept. Test clips have no say.

Beside it stand the same numbers of the mean frame (`systems.frame_systems.MeanFrame`): a network that is not
below them has learned nothing but the mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

LOSS, ERROR = "held_out_loss", "held_out_error"
MEAN_FRAME_LOSS, MEAN_FRAME_ERROR = "mean_frame_loss", "mean_frame_error"
MEASURED = (LOSS, ERROR, MEAN_FRAME_LOSS, MEAN_FRAME_ERROR)


@dataclass(frozen=True)
class HeldOut:
    """What is measured on windows held out, and the rule.

    Attributes:
        measure: the model -> its `LOSS`, and `ERROR`: the mean of the frame errors that scores are made of.
        mean_frame: `MEAN_FRAME_LOSS` and `MEAN_FRAME_ERROR`, the same of the mean frame.
        patience_checkpoints, least_gain: see above.
    """

    measure: Callable[[keras.Model], dict[str, float]]
    mean_frame: Callable[[], dict[str, float]]
    patience_checkpoints: int
    least_gain: float

    def gains(self, history: Sequence[dict]) -> list[dict]:
        """Return the rows of the checkpoints that gained, in order."""
        gained: list[dict] = []
        for row in history:
            if LOSS in row and (not gained or row[LOSS] < (1 - self.least_gain) * gained[-1][LOSS]):
                gained.append(row)
        return gained

    def is_over(self, history: Sequence[dict]) -> bool:
        """Return whether the last checkpoints, as many as the patience, brought no gain."""
        last = self.gains(history)[-1]["step"]
        since = [row for row in history if LOSS in row and row["step"] > last]
        return len(since) >= self.patience_checkpoints
