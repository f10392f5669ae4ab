"""sRNN-AE: the stacked RNN with a decoder, trained end to end (Sec. 3.4)."""

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from models.blocks import BlockModel, jit_compile, squared_error
from models.products import Factor, product, rounded
from models.rmsprop import RMSProp as RMSProp  # a trained model names it: who loads one needs it
from models.sequence import gram
from models.similarity import initial_weights
from models.sista import Factors, StackedRNN
from models.tensor import Tensor
from models.weight_decay import WeightDecay


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
            regularizer=WeightDecay(self.options.weight_decay),
        )
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self.weight_decay = keras.metrics.Mean("weight_decay")
        self.sparsity = keras.metrics.Mean("sparsity")
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, "n_features": self.n_features, **asdict(self.options)}

    @property
    def decoding(self) -> Tensor:
        """The matrix that codes are decoded with, Z^T (N, C)."""
        return self.decoder

    def decode(self, codes: Tensor, decoding: Factor | None = None) -> Tensor:
        """Return x^ = Z a, (rows, T, C), of codes (rows, T, N); `decoding` is the model's own, if given."""
        flat = ops.reshape(codes, (-1, self.options.n_atoms))
        matrix = self.decoder if decoding is None else decoding
        flat = product(flat, matrix, self.options.compute_dtype)
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
    """A trained model scoring frames as they come: A^T A, if used, is taken once, the state is passed along.

    Paper: Sec. 3.7, Eq. (13); one forward pass a frame (Sec. 3.4).

    Args:
        model: a model with `srnn`, `decode` and `decoding`, as `SRNNAE`.
        frame_by_frame: whether each block is one frame, few rows, and the matrices are kept for it as
            `products.Factor`, transposed. All kept are of the model's `compute_dtype`.
    """

    def __init__(self, model: keras.Model, frame_by_frame: bool = False) -> None:
        super().__init__(name="streaming")
        self.model, self.frame_by_frame = model, frame_by_frame
        self.kept = {
            # Not cast when read: bfloat16 would be float32 again inside of the model.
            name: self.add_weight(
                name=name, shape=matrix.shape, dtype=matrix.dtype, autocast=False, trainable=False
            )
            for name, matrix in self.matrices().items()
        }
        self.compile(jit_compile=jit_compile())
        self.built = True
        self.refresh()

    def refresh(self) -> None:
        """Take A^T A and what else is kept again, after the model has been trained further."""
        for name, matrix in self.matrices().items():
            self.kept[name].assign(matrix)

    def matrices(self) -> dict[str, Tensor]:
        """Return what is kept, by name: A^T A, where it stands in for A; frame by frame also the factors.

        These are A, Z and phi's kernel, all transposed, and without A^T A also A as it is.
        """
        srnn = self.model.srnn
        dtype = srnn.options.compute_dtype
        kept: dict[str, Tensor] = {}
        if srnn.gram_stands_in:
            kept |= {"gram": gram(ops.copy(srnn.dictionary), dtype)}
        elif self.frame_by_frame:
            kept |= {"dictionary": srnn.dictionary}
        if self.frame_by_frame:
            kept |= {"dictionary_transposed": ops.transpose(srnn.dictionary)}
            kept |= {"decoding_transposed": ops.transpose(self.model.decoding)}
            if srnn.options.similarity == "learned":
                kept |= {"kernel_transposed": ops.transpose(srnn.similarity.dense.kernel)}
        return {name: rounded(matrix, dtype) for name, matrix in kept.items()}

    @property
    def factors(self) -> Factors | None:
        """The matrices that few rows are multiplied with; None where blocks have more than one frame."""
        if not self.frame_by_frame:
            return None
        kept_gram, kernel = self.kept.get("gram"), self.kept.get("kernel_transposed")
        return Factors(
            Factor(self.kept["dictionary_transposed"], self.kept.get("dictionary")),
            None if kept_gram is None else Factor(kept_gram),  # A^T A is symmetric
            None if kernel is None else Factor(kernel),
        )

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
        codes, similarity, after = self.model.srnn(x, state, self.kept.get("gram"), factors=self.factors)
        decoding = Factor(self.kept["decoding_transposed"]) if self.frame_by_frame else None
        before = ops.concatenate([state["codes"][:, None], codes[:, :-1]], 1)
        return {
            "error": squared_error(x, self.model.decode(codes, decoding)),
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
