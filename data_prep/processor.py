"""Which dtypes this machine multiplies faster than float32; where one is not, float32 is used, and told."""

import sys
from pathlib import Path

from data_prep.provenance import device_name

# Dtype -> the instructions of x86 processors for its products, as Linux names them.
FAST_FLAGS = {
    "bfloat16": ("avx512_bf16", "amx_bf16"),
    "float16": ("avx512_fp16", "amx_fp16"),
}


def fast_dtype(asker: str, compute_dtype: str) -> str:
    """Return the dtype, but float32 for one that would gain nothing: a line tells it.

    What is made with it, and its configuration, is then that of float32.

    Args:
        asker: what asks for the dtype, a setting or a flag, for the line.
        compute_dtype: "float32", or a key of `FAST_FLAGS`.
    """
    if compute_dtype == "float32" or is_fast(compute_dtype):
        return compute_dtype
    instructions = ", ".join(FAST_FLAGS[compute_dtype])
    print(
        f"{asker} {compute_dtype}: this processor has no instructions for it ({instructions}) and there "
        "is no accelerator; float32 is used, and recorded",
        file=sys.stderr,
        flush=True,
    )
    return "float32"


def is_fast(compute_dtype: str) -> bool:
    """Return whether the processor has instructions for a dtype, or Keras computes on an accelerator."""
    return bool(processor_flags() & set(FAST_FLAGS[compute_dtype])) or on_accelerator()


def few_rows_are_faster_transposed(compute_dtype: str) -> bool:
    """Return whether (b^T a^T)^T takes less time than a b, of few rows a and a matrix b that is kept.

    In bfloat16 it does. In float32, with 21 rows and 2048 x 2048, it takes three quarters of the time on an
    Intel Xeon with AMX and 1.3 times as long on an AMD EPYC (Zen 4); elsewhere it was not tried.
    """
    return compute_dtype == "bfloat16" or "GenuineIntel" in processor_says("vendor_id")


def processor_flags() -> set[str]:
    """Return what the processor can do, in Linux' words; nothing where that is not told."""
    return processor_says("flags")


def processor_says(field: str) -> set[str]:
    """Return the words that Linux has of the first processor under a name, nothing where there are none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith(field)), set())


def on_accelerator() -> bool:
    """Return whether Keras computes on something else than the processor; loads Keras' backend."""
    return device_name() != "cpu"
