"""Flow windows (`data_prep.flow_windows`): when a stream is of them, which settings systems have there."""

import math

from data_prep.flow_windows.options import FlowWindowOptions
from experiments.lab.settings.schema import Settings


def reads_windows(stream: str, settings: Settings) -> bool:
    """Return whether a stream is of flow windows: the stream "flow", where `flow_input` is "windows"."""
    return stream == "flow" and settings.flow.flow_input == "windows"


def window_options(settings: Settings) -> FlowWindowOptions:
    """Return how flow windows are computed. InputError: a number out of range."""
    own = settings.windows
    return FlowWindowOptions(
        window_px=own.windows_px,
        least_window_px=own.windows_least_px,
        direction_weight=own.windows_direction_weight,
        flow_frames=own.windows_flow_frames,
        row_frames=own.windows_row_frames,
        alignment=own.windows_alignment,
    )


def with_window_settings(settings: Settings) -> Settings:
    """Return the settings with those of `WindowSettings` in place of what they name.

    A run is scored at its end alone.
    """
    own = settings.windows
    return settings.override(
        n_atoms=own.windows_n_atoms,
        similarity_units=own.windows_similarity_units,
        iterations=own.windows_iterations,
        checkpoint_every=own.windows_iterations,
        log_every=math.gcd(own.windows_iterations, 50),
        learning_rate=own.windows_learning_rate,
        batch_clips=own.windows_batch_clips,
        tsc_n_atoms=own.windows_n_atoms,
        tsc_lambda1=own.windows_tsc_lambda1,
        tsc_alternations=own.windows_tsc_alternations,
        tsc_windows=own.windows_tsc_windows,
        lstm_units=own.windows_lstm_units,
        n_subspace_atoms=own.windows_n_subspace_atoms,
    )
