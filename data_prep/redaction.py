"""Addresses without their secrets: what is printed, named or drawn of a camera goes through `redacted`."""

import re

HIDDEN = "***"
# Parameters that tell the streams of one camera apart; every other one may be a name, a password, a key.
SHOWN_PARAMETERS = {"camera", "channel", "profile", "stream", "streamtype", "subtype"}
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):/{1,2}(?P<rest>\S+)", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text with every address in it as scheme, host, port and path, and `SHOWN_PARAMETERS`.

    Where a name or a password has a separator in it, nobody can tell where it ends: then nothing but the
    scheme is left.
    """
    return _ADDRESS.sub(lambda found: f"{found['scheme']}://{_without_secrets(found['rest'])}", text)


def redacted_address(address: str) -> str:
    """Return the same of a text that is one address, even where it holds spaces."""
    scheme, _, rest = address.partition("://")
    return f"{scheme if scheme.isalnum() else HIDDEN}://{_without_secrets(rest)}"


def _without_secrets(rest: str) -> str:
    """Return what may be shown of an address behind its scheme."""
    authority, separator, path = re.fullmatch(r"([^/?#]*)([/?#]?)(.*)", rest, re.DOTALL).groups()
    if "@" in path:  # it may be the end of a password that holds the separator
        return HIDDEN
    path, query = re.fullmatch(r"([^?#]*)(.*)", f"{separator}{path}", re.DOTALL).groups()
    segments = [HIDDEN if "=" in segment or "&" in segment else segment for segment in path.split("/")]
    pairs = [pair.partition("=") for pair in re.split("[?&#;]", query)]
    shown = [f"{name}={value}" for name, _, value in pairs if name.lower() in SHOWN_PARAMETERS]
    return authority.rpartition("@")[2] + "/".join(segments) + ("?" + "&".join(shown) if shown else "")
