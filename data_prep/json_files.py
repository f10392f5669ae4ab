"""JSON files read with every check: what is there has the shape that is expected, and its numbers are finite.

A shape is a type; a tuple of types; `[shape]`, a list; or a dict: name -> shape, where `Maybe` marks a name
that may be missing, and the key `str` stands for every other name. Without that key, other names are refused.
An int is a float too; True is neither. `object` is anything.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import InputError
from data_prep.files import file_content, one_line

Shape = Any  # see above


@dataclass(frozen=True)
class Maybe:
    """The shape of what may be missing."""

    shape: Shape


def read_json(path: Path, shape: Shape, advice: str = "") -> Any:
    """Return what is in a JSON file.

    Raises InputError, with the advice behind it: missing, not JSON, of another shape.
    """
    advice = f"; {advice}" if advice else ""
    try:
        content = json.loads(file_content(path), parse_constant=_no_number)
    except InputError as fault:
        raise InputError(f"{fault}{advice}") from None
    except (ValueError, RecursionError) as fault:  # not UTF-8, not JSON, nested without end
        raise InputError(f"{path}: damaged, expected JSON, got {one_line(fault)}{advice}") from None
    try:
        check_shape(content, shape)
    except ValueError as fault:
        raise InputError(f"{path}: damaged, {one_line(fault)}{advice}") from None
    return content


def check_shape(content: Any, shape: Shape, name: str = "") -> None:
    """Raise ValueError, which names what is wrong, unless content has the shape; `name` is the content's."""
    if isinstance(shape, list):
        _check_kind(content, list, name)
        for index, item in enumerate(content):
            check_shape(item, shape[0], f"{name}[{index}]")
    elif isinstance(shape, dict):
        _check_kind(content, dict, name)
        _check_items(content, shape, f"{name}." if name else "")
    else:
        _check_kind(content, shape, name)


def _check_items(content: dict, shape: dict, prefix: str) -> None:
    """Raise ValueError unless the items of a dict are those of the shape."""
    for key, expected in shape.items():
        if key is not str and key not in content and not isinstance(expected, Maybe):
            raise ValueError(f"expected {prefix}{key}, {_in_words(expected)}, got none")
    for key, value in content.items():
        expected = shape.get(key, shape.get(str))
        if expected is None:
            raise ValueError(f"expected no {prefix}{key}, got {_short(value)}")
        check_shape(value, expected.shape if isinstance(expected, Maybe) else expected, f"{prefix}{key}")


def _check_kind(value: Any, kinds: type | tuple[type, ...], name: str) -> None:
    """Raise ValueError unless a value is of one of the kinds, and finite."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    of_kind = object in kinds or any(_is_a(value, kind) for kind in kinds)
    if not of_kind:
        raise ValueError(f"expected {name or 'it'} as {_in_words(kinds)}, got {_short(value)}")


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and abs(value) <= 1e300 and math.isfinite(value)
    return isinstance(value, kind)


def _in_words(shape: Shape) -> str:
    if isinstance(shape, tuple):
        return " or ".join(map(_in_words, shape))
    if isinstance(shape, list | dict):
        return type(shape).__name__
    return "a finite number" if shape is float else shape.__name__


def _short(value: Any) -> str:
    return text if len(text := repr(value)) < 80 else f"{text[:77]}..."


def _no_number(text: str) -> Any:
    raise ValueError(f"expected finite numbers, got {text}")
