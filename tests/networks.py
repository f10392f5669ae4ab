"""Networks with weights that tests write, and what they are compared by."""

import keras
import numpy as np


def random_frames(n, size_px):
    return np.random.default_rng(0).integers(0, 256, (n, size_px, size_px, 3), np.uint8)


def assert_same_map(map_, expected):
    assert map_.shape == expected.shape
    assert map_.dtype == np.float32
    assert np.abs(map_ - expected).max() <= 1e-3 * np.ptp(expected)


def random_resnet50():
    """A Keras ResNet-50 whose batch normalizations all do something."""
    network = keras.applications.ResNet50(include_top=False, weights=None)
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights())
            layer.set_weights([gamma, beta - 1, mean - 1, variance])
    return network


def expected_map(network, frames, layer):
    """The map of a layer of a Keras ResNet, frames uint8 (n, s, s, 3)."""
    prepared = keras.applications.resnet.preprocess_input(frames.astype(np.float32))
    return keras.Model(network.input, network.get_layer(layer).output).predict_on_batch(prepared)


def keras_first_convolution(network):
    """The first convolution with its batch normalization folded in, by hand: kernel, bias."""
    kernel, bias = network.get_layer("conv1_conv").get_weights()
    gamma, beta, mean, variance = network.get_layer("conv1_bn").get_weights()
    scale = gamma / np.sqrt(variance + network.get_layer("conv1_bn").epsilon)
    return kernel * scale, beta + (bias - mean) * scale


def first_convolution(backbone):
    return next(x for x in backbone.model.layers if isinstance(x, keras.layers.Conv2D)).get_weights()
