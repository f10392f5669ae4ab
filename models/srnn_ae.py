"""sRNN-AE: the stacked RNN with a decoder, trained end to end (Sec. 3.4)."""

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from models.blocks import BlockModel, jit_compile, squared_error
from models.products import product
from models.sequence import gram
from models.similarity import initial_weights
from models.sista import StackedRNN
from models.tensor import Tensor


@keras.saving.register_keras_serializable("srnn_ae")
class SRNNAE(keras.Model):
    """x_t -> codes a_t by the stacked RNN -> x^_t = Z a_t.

    Paper: Eq. (9), Sec. 3.4. Loss: the mean over rows and frames of ||x_t - x^_t||^2, plus
    `weight_decay * ||theta||^2` over every trainable parameter.

    Args:
        n_features: C.
        options: the fields of `sista.StackedRNNOptions`.
    """

    def __init__(self, n_features: int, name: str = "srnn_ae", dtype: Any = None, **options: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.n_features = n_features
        self.srnn = StackedRNN(**options, dtype=self.dtype_policy, name="srnn")
        self.options = self.srnn.options
        self.srnn.build((None, None, n_features))
        # Z^T: with few rows, a product with a transposed matrix took four times as long.
        self.decoder = self.add_weight(
            name="decoder",
            shape=(self.options.n_atoms, n_features),
            initializer=initial_weights(self.options.seed + 2),
            regularizer=keras.regularizers.L2(self.options.weight_decay),
        )
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.weight_decay = keras.metrics.Mean("weight_decay")
        self.sparsity = keras.metrics.Mean("sparsity")
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, "n_features": self.n_features, **asdict(self.options)}

    def decode(self, codes: Tensor) -> Tensor:
        """Return x^ = Z a, (rows, T, C), of codes (rows, T, N)."""
        flat = ops.reshape(codes, (-1, self.options.n_atoms))
        flat = product(flat, self.decoder, self.options.compute_dtype)
        return ops.reshape(flat, (-1, codes.shape[1], self.n_features))

    def call(self, x: Tensor) -> dict[str, Tensor]:
        """Return the reconstruction (rows, T, C), codes (rows, T, N) and similarity (rows, T, 1) of x."""
        codes, similarity, _ = self.srnn(x)
        return {"reconstruction": self.decode(codes), "codes": codes, "similarity": similarity}

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return Eq. (9): mean over rows and frames of ||x - x^||^2, plus the weight decay term."""
        error = ops.mean(squared_error(x, y_pred["reconstruction"]))
        decay = ops.sum(ops.stack(self.losses))
        self.reconstruction.update_state(error)
        self.weight_decay.update_state(decay)
        self.sparsity.update_state(ops.mean(ops.cast(y_pred["codes"] == 0, "float32")))
        return error + decay


class Streaming(BlockModel):
    """A trained model scoring frames as they come: A^T A is taken once, the state is passed along.

    Paper: Sec. 3.7, Eq. (13); one forward pass a frame (Sec. 3.4).

    Args:
        model: a model with `srnn` and `decode`, as `SRNNAE`.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="streaming")
        self.model = model
        self.gram = self.add_weight(
            name="gram",
            shape=(model.srnn.options.n_atoms,) * 2,
            dtype=model.srnn.compute_dtype,
            trainable=False,
        )
        self.compile(jit_compile=jit_compile())
        self.built = True
        self.refresh()

    def refresh(self) -> None:
        """Take A^T A again, after the model has been trained further."""
        A = ops.copy(self.model.srnn.dictionary)
        self.gram.assign(gram(A, self.model.srnn.options.compute_dtype))

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the frames of one block score, and the state for the next block.

        Args:
            inputs: {"x": features (rows, T, C), and the state: "codes" (rows, N), "embedding", "seen"}.

        Returns:
            {"error": ||x - x^||^2 (rows, T), "similarity": S (rows, T), "code_distance":
            ||a_t - a_{t-1}|| (rows, T), "sparsity": share of zero codes (rows, T), and the state}.
        """
        x = inputs["x"]
        state = {key: inputs[key] for key in ("codes", "embedding", "seen")}
        codes, similarity, after = self.model.srnn(x, state, self.gram)
        before = ops.concatenate([state["codes"][:, None], codes[:, :-1]], 1)
        return {
            "error": squared_error(x, self.model.decode(codes)),
            "similarity": similarity[..., 0],
            "code_distance": ops.sqrt(ops.sum(ops.square(codes - before), -1)),
            "sparsity": ops.mean(ops.cast(codes == 0, x.dtype), -1),
            **after,
        }

    def initial_state(self, n_rows: int) -> dict[str, np.ndarray]:
        """Return the state before a clip's first frame, as NumPy arrays."""
        return {
            key: ops.convert_to_numpy(value) for key, value in self.model.srnn.initial_state(n_rows).items()
        }
