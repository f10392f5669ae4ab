"""Random damage to the bytes of a file: what disks, transfers and people with an editor do, and worse."""

import io
import re
import zipfile

import numpy as np

LENGTHS = (
    0,
    1,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    2**24,
    2**30,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
TOKENS = (
    b"0", b"-1", b"1e999", b"NaN", b"1.5", b"null", b"true", b"[]", b"{}", b'""', b'"../x"', b'"a\\u0000b"',
    b"99999999999999999999", b"1000000000", b"[" * 2000, b"\xff", b"",
)  # fmt: skip
NUMBER_OR_TEXT = re.compile(rb'-?[0-9][0-9.eE+-]*|"[^"]*"|true|false|null|[\[\]{},:]')


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the content with some damage; of an archive the members are as often as not."""
    if content.startswith(b"PK\x03\x04") and rng.random() < 0.7:
        return _in_archive(content, rng)
    kinds = [_flipped, _overwritten, _length, _cut, _new_header, _spliced, _inserted, _blank]
    if content[:1] in b"{[":
        kinds += [_token] * len(kinds)
    for _ in range(1 + rng.geometric(0.6)):
        content = kinds[rng.integers(len(kinds))](content, rng)
    return content


def _place(content: bytes, rng: np.random.Generator, n_bytes: int = 1) -> int:
    """Return where n bytes begin, at the beginning of the file more often, where its header is."""
    last = max(1, len(content) - n_bytes + 1)
    return int(rng.integers(last if rng.random() < 0.5 else min(last, 256)))


def _flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.geometric(0.3) if content else 0):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _overwritten(content: bytes, rng: np.random.Generator) -> bytes:
    start, n_bytes = _place(content, rng), int(rng.integers(1, 32))
    return content[:start] + rng.bytes(n_bytes) + content[start + n_bytes :]


def _length(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a number that a length should not be, in either order of bytes."""
    width = int(rng.choice([2, 4, 8]))
    value = LENGTHS[rng.integers(len(LENGTHS))] % 2 ** (8 * width)
    start = _place(content, rng, width)
    return (
        content[:start] + value.to_bytes(width, str(rng.choice(["little", "big"]))) + content[start + width :]
    )


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _new_header(content: bytes, rng: np.random.Generator) -> bytes:
    n_bytes = int(rng.integers(1, 128))
    return rng.bytes(n_bytes) + content[n_bytes:]


def _spliced(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a piece of the file in another place of it."""
    n_bytes = int(rng.integers(1, max(2, len(content) // 4)))
    source, start = _place(content, rng, n_bytes), _place(content, rng, n_bytes)
    kept = start + n_bytes if rng.random() < 0.5 else start
    return content[:start] + content[source : source + n_bytes] + content[kept:]


def _inserted(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    return content[:start] + rng.bytes(int(rng.integers(1, 64))) + content[start:]


def _blank(content: bytes, rng: np.random.Generator) -> bytes:
    n_bytes = int(rng.integers(1, 512))
    start = _place(content, rng, n_bytes)
    return content[:start] + bytes([int(rng.choice([0, 255]))]) * n_bytes + content[start + n_bytes :]


def _token(content: bytes, rng: np.random.Generator) -> bytes:
    """Put another value in the place of one in JSON."""
    found = list(NUMBER_OR_TEXT.finditer(content))
    if not found:
        return content
    start, stop = found[rng.integers(len(found))].span()
    return content[:start] + TOKENS[rng.integers(len(TOKENS))] + content[stop:]


def _in_archive(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage one member of an archive, whose sums are right again; or leave it out, or name it otherwise."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = sorted(members)[rng.integers(len(members))]
    kind = rng.random()
    if kind < 0.8:
        members[name] = damaged(members[name], rng)
    else:
        taken = members.pop(name)
        if kind < 0.9:
            members["../outside.npy"] = taken
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()
