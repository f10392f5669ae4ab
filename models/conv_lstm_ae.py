"""ConvLSTM-AE: a convolutional encoder a frame, a convolutional LSTM over frames, two decoders.

Luo, Liu, Gao, "Remembering history with convolutional LSTM for anomaly detection", ICME 2017: reference [2]
of the paper (Sec. 2, Tables 3 to 5). Known, from its authors' Caffe configuration and test script
(github.com/zachluo/convlstm_anomaly_detection): T = 10 gray frames of 225x225, minus the mean image, divided
by 255; convolutions of 128 filters 7x7 with stride 4, 256 of 5x5 with stride 2 and 512 of 3x3 with stride 2
(maps of 57, 29 and 15), ReLU; one ConvLSTM of 512 filters 3x3 without peepholes; and from its state h_t two
decoders that mirror the encoder, ReLU and at the end tanh: one draws the current frame x_t, the other the
past frame x_{t-1}. No frame after t is predicted. Xavier's initial weights, biases zero, weight decay 0.0005
on the kernels alone, AdaGrad at 0.001, biases at twice that, with 8 clips a batch for 50,000 iterations. Its
loss sums over the clips of a batch and is the mean over the T frames; ours is the mean over both, beside
which the decay weighs 8 times as much.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from models.conv_ae import convolution, euclidean_loss
from models.tensor import Tensor

# (kernel, stride, padding on each side) in pixels, from the frame inward; a stride of 16 in all.
GEOMETRY = ((7, 4, 3), (5, 2, 2), (3, 2, 1))
TOTAL_STRIDE_PX = 16


@keras.saving.register_keras_serializable("srnn_ae")
class ConvLSTMAE(keras.Model):
    """Remembers the frames so far and draws from memory the current frame and the one before.

    Args:
        filters: of the three convolutions of the encoder; both decoders mirror them.
        memory_filters: of the ConvLSTM layers, one number a layer.
        input_size_px: height and width of the frames; 17, 33, ... (1 modulo 16), so that decoding inverts
            the sizes exactly.
        weight_decay: factor of 1/2 ||kernels||^2 in the loss.
        seed: of the initial weights.

    Raises:
        ValueError: an `input_size_px` that is not 1 modulo 16, not three filters, or no memory.
    """

    def __init__(
        self,
        filters: Sequence[int] = (128, 256, 512),
        memory_filters: Sequence[int] = (512,),
        input_size_px: int = 225,
        weight_decay: float = 0.0005,
        seed: int = 0,
        name: str = "conv_lstm_ae",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if input_size_px <= TOTAL_STRIDE_PX or input_size_px % TOTAL_STRIDE_PX != 1:
            raise ValueError(f"input_size_px: expected 17, 33, ... (1 modulo 16), got {input_size_px}")
        if len(filters) != 3:
            raise ValueError(f"filters: expected three numbers, got {filters}")
        if not memory_filters:
            raise ValueError("memory_filters: expected a number for each ConvLSTM layer, got none")
        self.options: dict[str, Any] = {
            "filters": tuple(filters),
            "memory_filters": tuple(memory_filters),
            "input_size_px": input_size_px,
            "weight_decay": weight_decay,
            "seed": seed,
        }
        self.encoder = self._encoder()
        self.memory = self._memory()
        self.current_decoder = self._decoder("current", seed + 30)
        self.past_decoder = self._decoder("past", seed + 40)
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.weight_decay = keras.metrics.Mean("weight_decay")
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, **self.options}

    def _encoder(self) -> keras.Sequential:
        """Return the network from frames (n, H, W, 1) to maps (n, H/16 + 1, W/16 + 1, filters[2])."""
        size, filters, seed = (self.options[key] for key in ("input_size_px", "filters", "seed"))
        network = keras.Sequential([keras.Input((size, size, 1), dtype=self.compute_dtype)], name="encoder")
        for i, (width, (kernel, stride, pad)) in enumerate(zip(filters, GEOMETRY, strict=True)):
            network.add(layers.ZeroPadding2D(pad, dtype=self.dtype_policy))
            network.add(self._convolution(layers.Conv2D, width, seed + i, kernel, stride, "relu"))
        return network

    def _memory(self) -> keras.Sequential:
        """Return the network from maps (n, T, h, w, filters[2]) to (n, T, h, w, memory_filters[-1])."""
        shape = (None, *self.encoder.output_shape[1:])
        network = keras.Sequential([keras.Input(shape, dtype=self.compute_dtype)], name="memory")
        decay = keras.regularizers.L2(self.options["weight_decay"] / 2)
        for i, width in enumerate(self.options["memory_filters"]):
            seed = self.options["seed"] + 10 + 2 * i
            network.add(
                layers.ConvLSTM2D(
                    width,
                    3,
                    padding="same",
                    return_sequences=True,
                    kernel_initializer=keras.initializers.GlorotUniform(seed),
                    recurrent_initializer=keras.initializers.GlorotUniform(seed + 1),
                    unit_forget_bias=False,
                    kernel_regularizer=decay,
                    recurrent_regularizer=decay,
                    dtype=self.dtype_policy,
                )
            )
        return network

    def _decoder(self, name: str, seed: int) -> keras.Sequential:
        """Return a network from memories (n, h, w, memory_filters[-1]) to frames (n, H, W, 1)."""
        shape = self.memory.output_shape[2:]
        network = keras.Sequential([keras.Input(shape, dtype=self.compute_dtype)], name=f"{name}_decoder")
        widths = (*self.options["filters"][-2::-1], 1)
        for i, (width, (kernel, stride, pad)) in enumerate(zip(widths, GEOMETRY[::-1], strict=True)):
            activation = "relu" if i < len(widths) - 1 else "tanh"
            network.add(
                self._convolution(layers.Conv2DTranspose, width, seed + i, kernel, stride, activation)
            )
            network.add(layers.Cropping2D(pad, dtype=self.dtype_policy))
        return network

    def _convolution(
        self,
        layer: type[layers.Layer],
        width: int,
        seed: int,
        kernel: int,
        stride: int,
        activation: str,
    ) -> layers.Layer:
        """Return one convolution without padding; the padding is a layer of its own, as Caffe counts it."""
        return convolution(
            layer,
            width,
            seed,
            kernel,
            self.options["weight_decay"],
            activation,
            "valid",
            strides=stride,
            dtype=self.dtype_policy,
        )

    def call(self, x: Tensor) -> dict[str, Tensor]:
        """Return what memory draws of clips x (n, T, H, W, 1), pixels in (-1, 1).

        Returns:
            {"current": x^_t for every t, (n, T, H, W, 1); "past": x^_{t-1} as drawn at t = 1..T-1,
            (n, T - 1, H, W, 1)}.
        """
        maps = each_frame(self.encoder, x)
        memory = self.memory(maps)
        return {
            "current": each_frame(self.current_decoder, memory),
            "past": each_frame(self.past_decoder, memory[:, 1:]),
        }

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return `reconstruction_loss` plus weight_decay/2 ||kernels||^2."""
        error = reconstruction_loss(x, y_pred)
        decay = ops.sum(ops.stack(self.losses))
        self.reconstruction.update_state(error)
        self.weight_decay.update_state(decay)
        return error + decay


def reconstruction_loss(x: Tensor, outputs: dict[str, Tensor]) -> Tensor:
    """Return 1/2 mean ||x_t - current||^2 + 1/2 mean ||x_{t-1} - past||^2 over clips and frames, scalar.

    Args:
        x: clips (n, T, H, W, 1).
        outputs: what the model returned for x.
    """
    current = euclidean_loss(flat(x), flat(outputs["current"]))
    return current + euclidean_loss(flat(x[:, :-1]), flat(outputs["past"]))


def flat(x: Tensor) -> Tensor:
    """Return x (n, T, ...) as (n * T, ...)."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def each_frame(network: keras.Model, x: Tensor) -> Tensor:
    """Return `network` applied to every frame of x (n, T, ...), as (n, T, ...)."""
    outputs = network(flat(x))
    return ops.reshape(outputs, (-1, x.shape[1], *outputs.shape[1:]))


def frame_errors(x: Tensor, outputs: dict[str, Tensor]) -> Tensor:
    """Return e(t) = sqrt(||x_t - current||^2 + ||x_{t-1} - past||^2), (n, T), as the released code scores.

    A clip's first frame has no past: its current error counts twice, so that it is on the others' scale. The
    released code scores only the second half of each window of T frames; the caller may do likewise.

    Args:
        x: clips (n, T, H, W, 1).
        outputs: what the model returned for x.
    """
    current = ops.sum(ops.square(x - outputs["current"]), (2, 3, 4))
    past = ops.sum(ops.square(x[:, :-1] - outputs["past"]), (2, 3, 4))
    return ops.sqrt(current + ops.concatenate([current[:, :1], past], 1))
