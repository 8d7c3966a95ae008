"""What a body says of itself in its headers, and decompression that knows a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cramjam
import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.limits import BodyLimit

_OVERFLOW: Final = "failed to write whole buffer"
"""What cramjam says if the output does not fit; held by a test."""
_DECOMPRESSORS: Final[Mapping[str, Any]] = {
    "gzip": cramjam.gzip,
    "x-gzip": cramjam.gzip,
    "zstd": cramjam.zstd,
    "deflate": cramjam.zlib,
}
_KEPT_BYTES: Final = 1 << 20


def content_type(headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The media type and its parameters, in lower case but for the parameters' values."""
    media, _, rest = headers.get("content-type", "").partition(";")
    parameters: dict[str, str] = {}
    for part in rest.split(";"):
        name, _, value = part.partition("=")
        if name.strip():
            parameters[name.strip().lower()] = value.strip().strip('"')
    return media.strip().lower(), parameters


def content_encoding(headers: Mapping[str, str]) -> str:
    return headers.get("content-encoding", "").strip().lower()


class Inflater:
    """Decompresses bodies as their Content-Encoding says, into memory that it uses again."""

    def __init__(self, limits: BodyLimit) -> None:
        self.limits: Final = limits
        self._scratch = np.empty(_KEPT_BYTES, np.uint8)

    def inflate(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        encoding = content_encoding(headers)
        if encoding in ("", "identity"):
            if len(body) > self.limits.decompressed_bytes:
                raise self.limits.too_many_bytes()
            return body
        decompressor = _DECOMPRESSORS.get(encoding)
        if encoding == "deflate" and not _has_zlib_header(body):
            decompressor = cramjam.deflate
        if decompressor is None:
            raise BadInput(
                f"content-encoding: '{encoding}' is not known; use gzip, zstd, deflate or identity",
                status=415,
            )
        size = min(_KEPT_BYTES, self.limits.decompressed_bytes)
        while True:
            into = self._scratch[:size] if size <= _KEPT_BYTES else np.empty(size, np.uint8)
            try:
                n_bytes: int = decompressor.decompress_into(body, into)
            except cramjam.DecompressionError as error:
                if str(error) != _OVERFLOW:
                    raise BadInput(f"the body is not sound {encoding}: {error}") from error
                if size >= self.limits.decompressed_bytes:
                    raise self.limits.too_many_bytes() from error
                size = self.limits.decompressed_bytes
            else:
                return into[:n_bytes].tobytes()


def _has_zlib_header(body: bytes) -> bool:
    """Some clients say deflate and leave out what is to stand around it."""
    return len(body) < 2 or (body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0)
