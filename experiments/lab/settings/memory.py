"""What settings ask for at the least: more than the machine has is refused before anything of it is made.

Each number is that of one array which a run has for certain, so that nothing that fits is refused.
"""

from data_prep.memory import check_fits
from data_prep.pooling import region_count
from experiments.lab.settings.schema import Settings

FLOAT_BYTES = 4
LEAST_CHANNELS = 256  # of a network's features
WINDOW_CHANNELS = 40  # of a flow window, see `data_prep.flow_windows.rows`
MNIST_PX = 225**2  # of a frame of Moving-MNIST
STRIDE_PX = 4  # of the first convolution of Conv-AE and ConvLSTM-AE
FIRST_FILTERS = 64  # of a ResNet, on half the side


def refuse_beyond_memory(settings: Settings) -> None:
    """Raise InputError, naming the settings, for what this machine's memory cannot hold."""
    for names, n_numbers in least_numbers(settings).items():
        check_fits(f"setting {names}", FLOAT_BYTES * n_numbers)


def least_numbers(settings: Settings) -> dict[str, int]:
    """Return the settings that an array's size depends on, in words -> how many numbers it has."""
    model, train, tsc, windows = settings.model, settings.train, settings.tsc, settings.windows
    conv, lstm, mnist = settings.conv_ae, settings.conv_lstm_ae, settings.moving_mnist
    n_regions = region_count(settings.features.pyramid)
    frames = train.window_frames
    return {
        # A^T A, see `models.recurrence`
        "n_atoms": model.n_atoms**2,
        "tsc_n_atoms": tsc.tsc_n_atoms**2,
        "windows_n_atoms": windows.windows_n_atoms**2,
        "mnist_n_atoms": mnist.mnist_n_atoms**2,
        # first layer of the learned similarity; recurrent kernel of an LSTM
        "similarity_units": LEAST_CHANNELS * model.similarity_units,
        "windows_similarity_units": WINDOW_CHANNELS * windows.windows_similarity_units,
        "mnist_similarity_units": mnist.mnist_similarity_units,
        "lstm_units": 4 * settings.lstm_ae.lstm_units**2,
        "windows_lstm_units": 4 * windows.windows_lstm_units**2,
        # a training batch
        "batch_clips and window_frames": train.batch_clips * frames * n_regions * LEAST_CHANNELS,
        "windows_batch_clips, windows_rows and window_frames": (
            windows.windows_batch_clips * windows.windows_rows * frames * WINDOW_CHANNELS
        ),
        "mnist_batch_sequences": mnist.mnist_batch_sequences * MNIST_PX // FLOAT_BYTES,  # uint8
        # what the first convolution gives of a batch; the second one's kernel
        "conv_ae_batch_clips, conv_ae_size_px and conv_ae_filters": (
            conv.conv_ae_batch_clips * (conv.conv_ae_size_px // STRIDE_PX - 1) ** 2 * conv.conv_ae_filters
        ),
        "conv_lstm_batch_clips, conv_lstm_size_px and conv_lstm_filters": (
            lstm.conv_lstm_batch_clips * (lstm.conv_lstm_size_px // STRIDE_PX) ** 2 * lstm.conv_lstm_filters
        ),
        "conv_ae_filters": 25 * conv.conv_ae_filters**2 // 2,
        "conv_lstm_filters": 50 * lstm.conv_lstm_filters**2,
        "conv_lstm_memory": 36 * lstm.conv_lstm_memory**2,
        # what a network's first convolution gives of one frame; a frame for TV-L1
        "input_size_px": FIRST_FILTERS * (settings.features.input_size_px // 2) ** 2,
        "flow_input_size_px": FIRST_FILTERS * (settings.flow.flow_input_size_px // 2) ** 2,
        "flow_size_px": settings.flow.flow_size_px**2,
    }
