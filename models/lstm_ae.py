"""LSTM-AE: an LSTM reads the features of a region, a linear layer draws each frame's back from its state.

Paper: Sec. 4.5, Table 5, "the LSTM based Auto-Encoder, where the same features are used". Nothing else of it
is published. Ours is the plain counterpart of sRNN-AE: x^_t is drawn from the state after frame t, so it runs
live; its width is that of the dictionary, 2048; no weight decay. The LSTM is that of Hochreiter and
Schmidhuber (1997) with forget gates (Gers et al. 2000), as Keras has it.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from models.blocks import BlockModel, jit_compile, squared_error
from models.tensor import Shape, State, Tensor


@keras.saving.register_keras_serializable("srnn_ae")
class LSTMAE(keras.Model):
    """x_t -> h_t by `n_layers` LSTM layers -> x^_t = W h_t + b.

    Loss: the mean over rows and frames of ||x_t - x^_t||^2, as Eq. (9), plus the weight decay.

    Args:
        n_features: C.
        units: width of each LSTM layer.
        n_layers: LSTM layers, one on top of the other.
        weight_decay: factor of ||kernels||^2 in the loss.
        seed: of the initial weights.

    Raises:
        ValueError: `n_layers` below 1.
    """

    def __init__(
        self,
        n_features: int,
        units: int = 2048,
        n_layers: int = 1,
        weight_decay: float = 0.0,
        seed: int = 0,
        name: str = "lstm_ae",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if n_layers < 1:
            raise ValueError(f"n_layers: expected 1 or more, got {n_layers}")
        self.n_features = n_features
        self.options: dict[str, Any] = {
            "units": units,
            "n_layers": n_layers,
            "weight_decay": weight_decay,
            "seed": seed,
        }
        decay = keras.regularizers.L2(weight_decay)
        self.lstm = [
            layers.LSTM(
                units,
                return_sequences=True,
                return_state=True,
                kernel_initializer=keras.initializers.GlorotUniform(seed + 2 * i),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 2 * i + 1),
                kernel_regularizer=decay,
                recurrent_regularizer=decay,
                dtype=self.dtype_policy,
                name=f"lstm_{i}",
            )
            for i in range(n_layers)
        ]
        self.decoder = layers.Dense(
            n_features,
            kernel_initializer=keras.initializers.GlorotUniform(seed + 2 * n_layers),
            kernel_regularizer=decay,
            dtype=self.dtype_policy,
            name="decoder",
        )
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.weight_decay = keras.metrics.Mean("weight_decay")
        self.build((None, None, n_features))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, "n_features": self.n_features, **self.options}

    def build(self, input_shape: Shape) -> None:
        """Create the weights, for features (rows, T, C)."""
        width = input_shape[-1]
        for layer in self.lstm:
            layer.build((None, None, width))
            width = layer.units
        self.decoder.build((None, None, width))
        self.built = True

    def initial_state(self, n_rows: Tensor) -> State:
        """Return the state before a clip's first frame: zeros (rows, units), hidden_i and cell_i a layer."""
        return {
            f"{kind}_{i}": ops.zeros((n_rows, layer.units), self.compute_dtype)
            for i, layer in enumerate(self.lstm)
            for kind in ("hidden", "cell")
        }

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the reconstruction (rows, T, C) of x (rows, T, C), and the state after its last frame."""
        after = {}
        for i, layer in enumerate(self.lstm):
            x, after[f"hidden_{i}"], after[f"cell_{i}"] = layer(
                x, initial_state=[state[f"hidden_{i}"], state[f"cell_{i}"]]
            )
        return self.decoder(x), after

    def call(self, x: Tensor) -> dict[str, Tensor]:
        """Return {"reconstruction": x^, (rows, T, C)} of features x (rows, T, C), from a clip's start."""
        return {"reconstruction": self.advance(x, self.initial_state(ops.shape(x)[0]))[0]}

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean over rows and frames of ||x - x^||^2, plus the weight decay term."""
        error = ops.mean(squared_error(x, y_pred["reconstruction"]))
        decay = ops.sum(ops.stack(self.losses))
        self.reconstruction.update_state(error)
        self.weight_decay.update_state(decay)
        return error + decay


class LSTMStreaming(BlockModel):
    """A trained LSTM-AE scoring frames as they come, the state passed along; the form of `srnn_ae.Streaming`.

    Args:
        model: the `LSTMAE`.
    """

    def __init__(self, model: LSTMAE) -> None:
        super().__init__(name="lstm_streaming")
        self.model = model
        self.compile(jit_compile=jit_compile())
        self.built = True

    def refresh(self) -> None:
        """Do nothing: unlike `srnn_ae.Streaming`, nothing is kept that follows from the weights."""

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return {"error": ||x - x^||^2 (rows, T), and the state} of {"x": (rows, T, C), and the state}."""
        x = inputs["x"]
        reconstruction, after = self.model.advance(x, inputs)
        return {"error": squared_error(x, reconstruction), **after}

    def initial_state(self, n_rows: int) -> dict[str, np.ndarray]:
        """Return the state before a clip's first frame, as NumPy arrays."""
        state = self.model.initial_state(n_rows)
        return {key: ops.convert_to_numpy(value) for key, value in state.items()}
