"""Saved models: what a .keras archive declares is compared with what it holds, then a model is made of it."""

import json
import zipfile
from math import prod
from pathlib import Path

import keras
from keras.src.backend.common import global_state

from data_prep.errors import InputError
from data_prep.files import check_file, one_line
from data_prep.hdf5 import check_weights

_UNINITIALIZED = "uninitialized_variables"


def read_model(path: Path) -> keras.Model:
    """Return the model of a .keras archive.

    Raises InputError: not readable, an unknown class, weights that are not there or do not fit here.
    """
    check_file(path)
    try:
        _check_sizes(path)
        return keras.saving.load_model(path)
    except InputError:
        raise
    except Exception as fault:  # on damaged bytes Keras raises whatever its parsers trip over
        raise InputError(f"{path}: damaged model, {one_line(fault)[:200]}") from None


def _check_sizes(path: Path) -> None:
    """Raise InputError for an archive that asks for more memory than it holds weights, or than there is."""
    held = check_weights(path)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    declared = sum(prod(shape) for shape in _shapes(config))
    if declared > held:  # a weight has a byte or more
        raise InputError(f"{path}: damaged model, it declares {declared:,} weights and holds {held:,} bytes")


def _shapes(config: dict) -> list[tuple[int, ...]]:
    """Return the shapes of a model's weights, given its configuration, without a number of them."""
    config = {name: value for name, value in config.items() if name != "compile_config"}
    before = list(global_state.get_global_attribute(_UNINITIALIZED, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(config)
            return [tuple(weight.shape) for weight in model.weights]
    finally:  # or Keras would make these weights later on
        global_state.set_global_attribute(_UNINITIALIZED, before)
