"""Settings that systems have on flow windows and on Moving-MNIST in place of those of `schema`."""

from dataclasses import dataclass

from experiments.lab.settings.sources import choice


@dataclass(frozen=True)
class WindowSettings:
    """Flow windows (`data_prep.flow_windows`), and what systems have on them in place of their settings."""

    windows_px: float = choice(16.0)  # mean side, of frames of 360 x 240
    windows_least_px: float = choice(10.0)
    windows_direction_weight: float = choice(0.5)
    windows_flow_frames: int = choice(5)  # flows that are averaged
    windows_row_frames: int = choice(5)  # frames whose features are averaged
    windows_alignment: str = choice("causal")  # of both; "centered" looks ahead
    windows_batch_clips: int = choice(6)
    windows_rows: int = choice(64)  # of each clip of a batch: windows in which something moves
    windows_iterations: int = choice(300)
    windows_learning_rate: float = choice(1e-3)
    windows_n_atoms: int = choice(8)
    windows_similarity_units: int = choice(64)
    windows_tsc_lambda1: float = choice(0.02)
    windows_tsc_alternations: int = choice(10)
    windows_tsc_windows: int = choice(160)
    windows_lstm_units: int = choice(8)
    windows_n_subspace_atoms: int = choice(4)


@dataclass(frozen=True)
class MovingMNISTSettings:
    """Moving-MNIST (Sec. 4.2), and what TSC and sRNN-AE have on it in place of their settings above."""

    mnist_train_sequences: int = 10_000  # Sec. 4.2
    mnist_test_sequences: int = 3000  # Sec. 4.2
    mnist_held_out_sequences: int = choice(64)  # of the training sequences; for Conv-AE, see FrameSettings
    mnist_step_px: int = choice(4)  # how far a digit moves in a frame
    mnist_seed: int = choice(0)  # of the sequences
    mnist_start: str = choice("principal")  # first dictionary: "principal" directions, or the systems' "own"
    mnist_n_atoms: int = 2048  # Sec. 4.4; of both
    mnist_similarity_units: int = 512  # Sec. 4.1
    mnist_iterations: int = 20_000  # Sec. 4.1
    mnist_checkpoint_every: int = choice(2000)  # 3,000 sequences are scored at each
    mnist_batch_sequences: int = 4  # Sec. 4.1
    mnist_learning_rate: float = 1e-5  # Sec. 4.1
    mnist_lambda1: float = choice(0.003)  # initial; 0.1 is much for frames of length 1
    mnist_weight_decay: float = choice(1e-6)  # 0.005 beside a frame of length 1, see docs/moving_mnist.md
    mnist_tsc_lambda1: float = choice(0.003)  # see docs/moving_mnist.md
    mnist_tsc_lambda2: float = choice(0.1)  # likewise; Sec. 4.4 has 2.0 for features of a network
    mnist_tsc_alternations: int = choice(10)  # not given
    mnist_tsc_update_steps: int = choice(50)  # not given
    mnist_conv_ae_iterations: int = choice(200_000)  # as elsewhere
