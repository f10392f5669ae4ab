"""The settings that name the dtype of products: a low one where it is fast, else float32."""

from data_prep.processor import fast_dtype
from experiments.lab.settings.schema import Settings


def with_fast_dtypes(settings: Settings) -> Settings:
    """Return the settings, with float32 in place of what would gain nothing, see `fast_dtype`."""
    asked = {
        "compute_dtype": settings.model.compute_dtype,
        "feature_compute_dtype": settings.features.feature_compute_dtype,
    }
    return settings.override(**{name: fast_dtype(name, dtype) for name, dtype in asked.items()})
