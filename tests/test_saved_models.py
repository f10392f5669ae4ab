"""What a saved run depends on: registered names, the keys of a config, and where weights stand."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from models.lstm_ae import LSTMAE
from models.sista import StackedRNN, at_least_smallest_positive
from models.srnn_ae import SRNNAE
from models.tsc import TSC

C, N, UNITS = 6, 9, 4
STACKED_RNN = {
    "layers/stacked_rnn/vars/0": (C, N),
    "layers/stacked_rnn/vars/1": (N,),
    **{f"layers/stacked_rnn/vars/{index}": () for index in (2, 3, 4)},
}
PHI = {
    "layers/stacked_rnn/similarity/dense/vars/0": (C, UNITS),
    "layers/stacked_rnn/similarity/dense/vars/1": (UNITS,),
}
CONFIGS = {
    "srnn_ae>SRNNAE": {
        **{"name": "srnn_ae", "dtype": "float32", "n_features": C, "n_atoms": N, "depth": 5},
        **{"similarity": "learned", "delta_squared": 9.0, "similarity_units": UNITS, "first_layer": "eq7"},
        **{"threshold": "two_sided", "weight_decay": 0.1, "trainable_lambda2": True},
        **{"trainable_initial_codes": True, "gamma": 2.0, "lambda1": 0.3, "lambda2": 0.4},
        **{"positive_scalars": False, "expected_rows": 8, "seed": 3},
    },
    "srnn_ae>TSC": {
        **{"name": "tsc", "dtype": "float32", "n_features": C, "n_atoms": N, "depth": 4, "lambda1": 0.05},
        **{"lambda2": 0.5, "delta_squared": 9.0, "threshold": "two_sided"},
    },
    "srnn_ae>LSTMAE": {
        **{"name": "lstm_ae", "dtype": "float32", "n_features": C, "units": 5, "n_layers": 1},
        **{"weight_decay": 0.1, "seed": 3},
    },
}
ADDED = {name: {"compute_dtype": "float32"} for name in ("srnn_ae>SRNNAE", "srnn_ae>TSC")}  # by default
WEIGHTS = {
    "srnn_ae>SRNNAE": {"vars/0": (N, C), **STACKED_RNN, **PHI},
    "srnn_ae>TSC": STACKED_RNN,
    "srnn_ae>LSTMAE": {
        **{"decoder/vars/0": (5, C), "decoder/vars/1": (C,), "layers/lstm/cell/vars/0": (C, 20)},
        **{"layers/lstm/cell/vars/1": (5, 20), "layers/lstm/cell/vars/2": (20,)},
    },
}
CLASSES = {"srnn_ae>SRNNAE": SRNNAE, "srnn_ae>TSC": TSC, "srnn_ae>LSTMAE": LSTMAE}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_and_weights_stand_where_saved_runs_have_them(name, tmp_path):
    config = CONFIGS[name]
    model = CLASSES[name].from_config(config)
    for weight in model.weights:
        weight.assign(weight + 0.01)  # no longer what the seed gives
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as saved:
        described = json.loads(saved.read("config.json"))
        with h5py.File(io.BytesIO(saved.read("model.weights.h5"))) as file:
            found = {}
            file.visititems(
                lambda key, value: found.update({key: value.shape}) if hasattr(value, "shape") else None
            )
    assert described["registered_name"] == name
    assert described["config"] == config | ADDED.get(name, {})
    assert found == WEIGHTS[name]
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == described["config"]
    x = np.random.default_rng(0).uniform(0, 1, (8, 5, C)).astype(np.float32)
    found = loaded(x)
    for output, expected in model(x).items():
        np.testing.assert_array_equal(found[output], expected)


def test_the_layer_comes_back_from_its_config():
    layer = StackedRNN(n_atoms=N, depth=5, similarity="gaussian", name="codes", dtype="float64")
    assert keras.saving.get_registered_name(StackedRNN) == "srnn_ae>StackedRNN"
    described = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(described)
    assert again.get_config() == layer.get_config()
    assert again.options == layer.options
    with pytest.raises(TypeError, match="detph"):
        StackedRNN(detph=3)


def test_the_constraint_has_its_name():
    registered = keras.saving.get_registered_name(at_least_smallest_positive)
    assert registered == "srnn_ae>at_least_smallest_positive"
