"""OC-SVM: a one-class support vector machine on the features of normal frames.

Paper: Sec. 4.3, baseline ii), Table 3: "we train a one-class SVM with all training data"; kernel, nu and
scaling are not published. Schoelkopf et al., "Estimating the support of a high-dimensional distribution",
Neural Computation 2001. Ours: scikit-learn's RBF kernel and defaults, features unscaled, gamma =
1 / (C var(x)) ("scale") and nu = 0.5, which bounds from above the share of training frames left outside.

The exact solution takes time and memory quadratic in the rows. Beyond `exact_rows` the kernel is approximated
by Nystroem features (Williams and Seeger, NIPS 2000) and the linear one-class SVM on them is fitted by
stochastic gradient descent, chunk by chunk, so that memory does not grow with the data.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np
from sklearn import svm
from sklearn.base import BaseEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.pipeline import make_pipeline

from models.nearest_subspace import chunks_of

# Ped2's 2,550 training frames, and more; 5,000 rows of C = 2048 took 35 seconds to fit on one core.
EXACT_ROWS = 5000


class OneClassSVM:
    """A fitted one-class SVM; make it with `fit`.

    Args:
        estimator: a fitted scikit-learn estimator with `decision_function`.
        kind: "exact" or "nystroem", how it was fitted.
    """

    def __init__(self, estimator: BaseEstimator, kind: str) -> None:
        self.estimator = estimator
        self.kind = kind

    @classmethod
    def fit(
        cls,
        batches: Iterable[np.ndarray],
        nu: float = 0.5,
        exact_rows: int = EXACT_ROWS,
        n_components: int = 300,
        seed: int = 0,
    ) -> "OneClassSVM":
        """Return the SVM of the rows of all batches, read once.

        Beyond `exact_rows`, gamma and the Nystroem points come from the first `exact_rows` rows: mix the
        order of clips where scenes differ.

        Args:
            batches: float (n, C) each, any n.
            nu: upper bound of the share of training rows outside, in (0, 1].
            exact_rows: most rows that are fitted exactly.
            n_components: Nystroem features.
            seed: of the Nystroem points and of the descent's order; the exact fit draws nothing.

        Raises:
            ValueError: no rows, or settings that scikit-learn refuses, naming them.
        """
        chunks = chunks_of(batches, exact_rows)
        first = next(chunks)
        second = next(chunks, None)
        gamma = scale_gamma(first)
        if second is None:
            return cls(svm.OneClassSVM(nu=nu, gamma=gamma).fit(first), "exact")
        features = Nystroem(gamma=gamma, n_components=min(n_components, len(first)), random_state=seed).fit(
            first
        )
        linear = SGDOneClassSVM(nu=nu, random_state=seed)
        for chunk in chain([first, second], chunks):
            linear.partial_fit(features.transform(chunk))
        return cls(make_pipeline(features, linear), "nystroem")

    def errors(self, y: np.ndarray) -> np.ndarray:
        """Return minus the decision function, float64 (n,), of features y (n, C): above 0 is outside."""
        return -self.estimator.decision_function(y)


def scale_gamma(x: np.ndarray) -> float:
    """Return 1 / (C var(x)) of rows x (n, C): scikit-learn's gamma="scale"; 1 where x is constant."""
    variance = float(np.var(x, dtype=np.float64))
    return 1 / (x.shape[1] * variance) if variance else 1.0
