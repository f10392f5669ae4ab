"""The three profiles: how far each is from the paper's own settings, and how many seeds it runs."""

from experiments.lab.settings.schema import PAPER

PROFILES = {
    "paper": PAPER,
    # A quarter of the atoms and 150 of the 20,000 iterations of the paper, the others likewise: minutes,
    # not hours. Ten times its learning rate, chosen by the training loss after so few.
    "quick": PAPER.override(
        backbone="thin_resnet50",  # a quarter of the multiplications, and nothing to download
        learning_rate=1e-4,
        flow_size_px=80,  # flow and its network take 37 ms of one core a frame; profile paper: 650
        flow_warps=1,
        flow_input_size_px=112,
        n_atoms=512,
        iterations=150,
        checkpoint_every=75,
        log_every=15,
        tsc_n_atoms=512,
        tsc_alternations=4,
        tsc_windows=32,
        lstm_units=256,
        # Of the frame sizes, widths and rates tried, those with the least loss on Ped2's held-out training
        # clips, as a share of the mean frame's, after 40 to 75 s of one core.
        conv_ae_size_px=131,
        conv_ae_filters=64,
        conv_ae_iterations=900,
        conv_ae_batch_clips=8,
        conv_ae_learning_rate=1e-3,
        conv_lstm_size_px=97,
        conv_lstm_filters=16,
        conv_lstm_memory=64,
        conv_lstm_iterations=630,
        frames_checkpoint_every=90,
        frames_patience_checkpoints=2,
        hinami_step_frames=4,  # of one core: 2 minutes on Ped2, not 7
        n_subspace_atoms=500,  # as many for 1024 channels as the paper has for 2048
        sweep_alternations=2,
        # What fits 5 minutes for all of Table 1, see docs/moving_mnist.md.
        mnist_train_sequences=600,
        mnist_held_out_sequences=32,
        mnist_test_sequences=200,
        mnist_n_atoms=1152,
        mnist_similarity_units=64,
        mnist_iterations=45,
        mnist_checkpoint_every=45,
        mnist_batch_sequences=16,
        mnist_learning_rate=3e-5,
        mnist_tsc_alternations=1,
        mnist_tsc_update_steps=15,  # see docs/moving_mnist.md
        mnist_conv_ae_iterations=270,
    ),
    "smoke": PAPER.override(
        backbone="thin_resnet50",  # the same everywhere, and nothing to download
        input_size_px=96,
        flow_size_px=32,
        flow_warps=1,
        flow_input_size_px=64,
        n_atoms=64,
        similarity_units=32,
        iterations=20,
        window_frames=5,
        checkpoint_every=10,
        log_every=2,
        tsc_n_atoms=64,
        tsc_alternations=2,
        tsc_windows=8,
        tsc_depth=5,
        lstm_units=32,
        conv_ae_size_px=39,
        conv_ae_filters=16,
        conv_ae_iterations=20,
        conv_ae_batch_clips=8,
        conv_ae_learning_rate=1e-3,
        conv_lstm_size_px=33,
        conv_lstm_filters=4,
        conv_lstm_memory=8,
        conv_lstm_iterations=20,
        frames_hold_out_every=2,
        frames_checkpoint_every=4,
        frames_patience_checkpoints=2,
        n_train_clips=2,
        n_test_clips=3,
        clip_frames=40,
        hinami_step_frames=4,
        n_subspace_atoms=16,
        mnist_train_sequences=12,
        mnist_held_out_sequences=2,
        mnist_test_sequences=8,
        mnist_n_atoms=32,
        mnist_similarity_units=16,
        mnist_iterations=20,
        mnist_checkpoint_every=10,
        mnist_batch_sequences=4,
        mnist_learning_rate=1e-3,
        mnist_tsc_alternations=2,
        mnist_conv_ae_iterations=20,
    ),
}
# Seeds of the tables that compare systems, and of those that vary sRNN-AE and of the sweeps.
DEFAULT_SEEDS = {"smoke": 1, "quick": 3, "paper": 3}
ABLATION_SEEDS = {"smoke": 1, "quick": 1, "paper": 3}
