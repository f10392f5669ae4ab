"""Training that is broken off, as by Ctrl-C, for the tests of what goes on from there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from experiments.lab.training.gradients import Recorder


@contextmanager
def broken_off_at(step: int) -> Iterator[None]:
    """Raise KeyboardInterrupt once training by gradients has recorded a step, a multiple of `log_every`."""
    record = Recorder.on_epoch_end

    def record_and_break_off(self, epoch, logs=None):
        record(self, epoch, logs)
        if (epoch + 1) * self.train.log_every == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "on_epoch_end", record_and_break_off)
        yield
