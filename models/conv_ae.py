"""Conv-AE: a convolutional autoencoder over windows of gray frames, the frames being channels.

Hasan, Choi, Neumann, Roy-Chowdhury, Davis, "Learning temporal regularity in video sequences", CVPR 2016:
reference [1] of the paper (Sec. 2, Tables 1, 3, 4, 10). Published there: windows of T = 10 gray frames of
227x227; convolutions of 512 filters 11x11 with stride 4, 256 of 5x5 and 128 of 3x3, a 2x2 maximum after each
of the first two (maps of 55, 27 and 13); a decoder that mirrors it; tanh, not ReLU; Xavier's initial weights;
the loss below; AdaGrad. Its authors' released Caffe configuration (mirrored at
github.com/geekep/Temporal-RegularityDetector_CVPR_2016) has: AdaGrad at 0.0001 with 64 windows a batch for
200,000 iterations, weight decay 0.0005, one rate for kernels and biases; and other than the paper 256, 128
and 64 filters, 3x3 maxima, local response normalization and tanh at the end. Our choices, where the two
differ, are silent, or Keras has no such layer:

- The network is the paper's, not the configuration's.
- Unpooling repeats each value over its 2x2 cell. Unpooling to the place of each maximum would hand the
  decoder the encoder's positions past the code, so that what was never seen is redrawn too.
- The last layer is linear: pixels have any range, for instance [0, 1] or minus the mean image.
- Biases do not decay.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from models.tensor import Shape, Tensor

FIRST_KERNEL_PX, STRIDE_PX = 11, 4
# Below this the second maximum would leave nothing.
SMALLEST_INPUT_PX = FIRST_KERNEL_PX + 3 * STRIDE_PX


@keras.saving.register_keras_serializable("srnn_ae")
class ConvAE(keras.Model):
    """Reconstructs a window of frames from a code of 13 x 13 x filters[2] values (at 227 pixels).

    Args:
        window_frames: T, frames a window.
        filters: of the three convolutions of the encoder; the decoder mirrors them.
        input_size_px: height and width of the frames; 23, 27, 31, ... (3 modulo 4).
        weight_decay: factor of 1/2 ||kernels||^2 in the loss.
        seed: of the initial weights.

    Raises:
        ValueError: an `input_size_px` that the strided convolution does not tile, or not three filters.
    """

    def __init__(
        self,
        window_frames: int = 10,
        filters: Sequence[int] = (512, 256, 128),
        input_size_px: int = 227,
        weight_decay: float = 0.0005,
        seed: int = 0,
        name: str = "conv_ae",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if input_size_px < SMALLEST_INPUT_PX or (input_size_px - FIRST_KERNEL_PX) % STRIDE_PX:
            raise ValueError(
                f"input_size_px: expected {SMALLEST_INPUT_PX} or more, 3 modulo 4, got {input_size_px}"
            )
        if len(filters) != 3:
            raise ValueError(f"filters: expected three numbers, got {filters}")
        self.options: dict[str, Any] = {
            "window_frames": window_frames,
            "filters": tuple(filters),
            "input_size_px": input_size_px,
            "weight_decay": weight_decay,
            "seed": seed,
        }
        common: dict[str, Any] = {"weight_decay": weight_decay, "dtype": self.dtype_policy}
        wide, middle, narrow = filters
        first: dict[str, Any] = {"kernel_size": FIRST_KERNEL_PX, "strides": STRIDE_PX, "padding": "valid"}
        self.encoder = [
            convolution(layers.Conv2D, wide, seed, name="conv1", **first, **common),
            convolution(layers.Conv2D, middle, seed + 1, 5, name="conv2", **common),
            convolution(layers.Conv2D, narrow, seed + 2, 3, name="conv3", **common),
        ]
        transposed = layers.Conv2DTranspose
        self.decoder = [
            convolution(transposed, middle, seed + 3, 3, name="deconv1", **common),
            convolution(transposed, wide, seed + 4, 5, name="deconv2", **common),
            convolution(
                transposed, window_frames, seed + 5, activation=None, name="deconv3", **first, **common
            ),
        ]
        self.pool = layers.MaxPooling2D(2, dtype=self.dtype_policy)
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.weight_decay = keras.metrics.Mean("weight_decay")
        self.build((None, input_size_px, input_size_px, window_frames))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, **self.options}

    def build(self, input_shape: Shape) -> None:
        """Create the kernels, for windows of shape (n, H, W, T)."""
        channels = input_shape[-1]
        for layer in (*self.encoder, *self.decoder):
            layer.build((None, None, None, channels))
            channels = layer.filters
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        """Return the reconstruction of windows x (n, H, W, T), the same shape."""
        conv1, conv2, conv3 = self.encoder
        deconv1, deconv2, deconv3 = self.decoder
        wide = conv1(x)
        middle = conv2(self.pool(wide))
        code = conv3(self.pool(middle))
        middle = unpool(deconv1(code), middle)
        wide = unpool(deconv2(middle), wide)
        return deconv3(wide)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return 1/2 mean over windows of ||x - x^||^2, plus weight_decay/2 ||kernels||^2."""
        error = euclidean_loss(x, y_pred)
        decay = ops.sum(ops.stack(self.losses))
        self.reconstruction.update_state(error)
        self.weight_decay.update_state(decay)
        return error + decay


@keras.saving.register_keras_serializable("srnn_ae")
class CaffeAdaGrad(keras.optimizers.Adagrad):
    """AdaGrad as Caffe has it: h <- h + g^2, w <- w - rate m g / sqrt(h + delta^2), g with the decay in it.

    delta is 1e-8; Caffe divides by sqrt(h) + delta, which differs where gradients are as small as that.
    Keras' own starts h at 0.1 and has delta^2 = 1e-7: both outweigh the squares of gradients under 1e-4, so
    that kernels hardly move.

    Args:
        learning_rate: rate.
        bias_rate: m of the biases, Caffe's `lr_mult`; that of kernels is 1.
        start: h before the first step.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        bias_rate: float = 1.0,
        start: float = 0.0,
        name: str = "caffe_adagrad",
    ) -> None:
        super().__init__(learning_rate, initial_accumulator_value=start, epsilon=1e-16, name=name)
        self.bias_rate = bias_rate

    def build(self, variables: list[keras.Variable]) -> None:
        """Create h, and note which variables are biases."""
        super().build(variables)
        self.rates = [self.bias_rate if variable.name == "bias" else 1.0 for variable in variables]

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Move one variable."""
        super().update_step(
            gradient, variable, learning_rate * self.rates[self._get_variable_index(variable)]
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        rate = keras.ops.convert_to_numpy(self.learning_rate)
        options = {"bias_rate": self.bias_rate, "start": self.initial_accumulator_value}
        return {"learning_rate": float(rate), **options, "name": self.name}


def convolution(
    layer: type[layers.Layer],
    filters: int,
    seed: int,
    kernel_size: int,
    weight_decay: float,
    activation: str | None = "tanh",
    padding: str = "same",
    **kwargs: Any,
) -> layers.Layer:
    """Return a convolution `layer`: Xavier's initial kernel, weight_decay/2 ||kernel||^2 in the loss."""
    return layer(
        filters,
        kernel_size,
        padding=padding,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        kernel_regularizer=keras.regularizers.L2(weight_decay / 2),
        **kwargs,
    )


def unpool(x: Tensor, like: Tensor) -> Tensor:
    """Return x (n, h, w, channels) with values repeated to the height and width of `like`, about 2h x 2w."""
    return ops.image.resize(x, like.shape[1:3], interpolation="nearest")


def euclidean_loss(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return 1/2 mean_n ||x_n - x^_n||^2, scalar, of two (n, ...): Caffe's Euclidean loss."""
    return 0.5 * ops.mean(ops.sum(ops.square(x - reconstruction), tuple(range(1, len(x.shape)))))


def frame_errors(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return e(t) = sum over pixels of |x - x^|, (n, T), of two (n, H, W, T).

    Hasan et al.: the sum of the pixels' errors ||I(x, y, t) - I^(x, y, t)||_2, which for gray is |I - I^|.
    """
    return ops.sum(ops.abs(x - reconstruction), (1, 2))
