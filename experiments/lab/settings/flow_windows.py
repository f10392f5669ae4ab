"""Flow windows (`data_prep.flow_windows`): when a stream is of them, which settings systems have there."""

from data_prep.errors import InputError
from data_prep.flow_windows.options import FlowWindowOptions
from experiments.lab.settings.schema import Settings

# Settings of systems -> those of `WindowSettings` that stand in their place on flow windows.
IN_PLACE = {
    "n_atoms": "windows_n_atoms",
    "similarity_units": "windows_similarity_units",
    "iterations": "windows_iterations",
    "learning_rate": "windows_learning_rate",
    "batch_clips": "windows_batch_clips",
    "tsc_n_atoms": "windows_n_atoms",
    "tsc_lambda1": "windows_tsc_lambda1",
    "tsc_alternations": "windows_tsc_alternations",
    "tsc_windows": "windows_tsc_windows",
    "lstm_units": "windows_lstm_units",
    "n_subspace_atoms": "windows_n_subspace_atoms",
}
SET_TO_FIT = {"checkpoint_every", "log_every"}  # by the number of iterations
LOG_EVERY = 50  # iterations


def reads_windows(stream: str, settings: Settings) -> bool:
    """Return whether a stream is of flow windows: the stream "flow", where `flow_input` is "windows"."""
    return stream == "flow" and settings.flow.flow_input == "windows"


def window_options(settings: Settings) -> FlowWindowOptions:
    """Return how flow windows are computed. InputError: a number out of range."""
    own = settings.windows
    try:
        return FlowWindowOptions(
            window_px=own.windows_px,
            least_window_px=own.windows_least_px,
            direction_weight=own.windows_direction_weight,
            flow_frames=own.windows_flow_frames,
            row_frames=own.windows_row_frames,
            alignment=own.windows_alignment,
        )
    except InputError as fault:
        raise InputError(f"settings of flow windows, windows_...: {fault}") from None


def with_window_settings(settings: Settings) -> Settings:
    """Return the settings with those of `WindowSettings` in place of what they name.

    A run is scored at its end alone.
    """
    replaced = {name: getattr(settings.windows, windows_name) for name, windows_name in IN_PLACE.items()}
    return settings.override(**replaced).scored_at_end(LOG_EVERY)
