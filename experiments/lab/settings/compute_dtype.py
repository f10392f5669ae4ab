"""Whether this machine multiplies bfloat16 faster than float32; where not, float32 is used, and told."""

import sys
from pathlib import Path

from experiments.lab.settings.schema import Settings

FAST_FLAGS = {"avx512_bf16", "amx_bf16"}  # of x86 processors, as Linux names them


def with_fast_dtype(settings: Settings) -> Settings:
    """Return the settings, with compute_dtype float32 where bfloat16 would gain nothing: one line tells it.

    What is made with them, and its configuration, is then that of float32.
    """
    if settings.model.compute_dtype == "float32" or has_fast_bfloat16():
        return settings
    print(
        "compute_dtype bfloat16: this processor has no instructions for it (avx512_bf16, amx_bf16) and there "
        "is no accelerator; float32 is used, and recorded",
        file=sys.stderr,
        flush=True,
    )
    return settings.override(compute_dtype="float32")


def has_fast_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16, or Keras computes on an accelerator."""
    return bool(FAST_FLAGS & processor_flags()) or on_accelerator()


def processor_flags() -> set[str]:
    """Return what the processor can do, in Linux' words; nothing where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def on_accelerator() -> bool:
    """Return whether Keras computes on something else than the processor."""
    from data_prep.provenance import device_name  # loads Keras' backend

    return device_name() != "cpu"
