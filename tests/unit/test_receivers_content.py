"""Headers and decompression."""

from __future__ import annotations

import gzip
import zlib

import cramjam
import pytest
import zstandard

from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers.content import Inflater, content_encoding, content_type
from watchkeeper.ingest.receivers.limits import Limits

PLAIN = b"0123456789" * 50_000


@pytest.mark.parametrize(
    ("header", "media", "parameters"),
    [
        ("application/json", "application/json", {}),
        (" Application/JSON ; Charset=UTF-8", "application/json", {"charset": "UTF-8"}),
        ('a/b;x="1";;y', "a/b", {"x": "1", "y": ""}),
        ("", "", {}),
    ],
)
def test_a_content_type_is_taken_apart(header: str, media: str, parameters: dict[str, str]) -> None:
    assert content_type({"content-type": header}) == (media, parameters)


def test_what_is_not_said_is_empty() -> None:
    assert content_type({}) == ("", {})
    assert content_encoding({}) == ""
    assert content_encoding({"content-encoding": " GZip "}) == "gzip"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        ("gzip", gzip.compress(PLAIN)),
        ("x-gzip", gzip.compress(PLAIN)),
        ("gzip", gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:])),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN)[2:-4]),  # raw, as Go writes it
        ("zstd", zstandard.compress(PLAIN)),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(PLAIN)),
        ("zstd", zstandard.ZstdCompressor(level=19).compress(PLAIN)),
    ],
)
def test_what_others_compressed_is_read(encoding: str, body: bytes) -> None:
    inflater = Inflater(Limits())

    assert inflater.inflate(body, {"content-encoding": encoding}) == PLAIN


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 3 << 20])
def test_what_outgrows_the_memory_that_is_kept_is_read_too(size: int) -> None:
    inflater = Inflater(Limits(decompressed_bytes=3 << 20))
    plain = bytes(size)

    assert inflater.inflate(gzip.compress(plain), {"content-encoding": "gzip"}) == plain


def test_one_byte_above_the_limit_is_too_much() -> None:
    inflater = Inflater(Limits(decompressed_bytes=len(PLAIN) - 1))
    for encoding, body in (
        ("gzip", gzip.compress(PLAIN)),
        ("zstd", zstandard.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN)),
        ("identity", PLAIN),
    ):
        with pytest.raises(TooLarge, match="decompressed_bytes"):
            inflater.inflate(body, {"content-encoding": encoding})


def test_the_words_by_which_an_overflow_is_known_have_not_changed() -> None:
    """An upgrade that words it otherwise would turn 413 into 400."""
    for codec in (cramjam.gzip, cramjam.zstd, cramjam.zlib):
        with pytest.raises(cramjam.DecompressionError, match=r"^failed to write whole buffer$"):
            codec.decompress_into(bytes(codec.compress(PLAIN)), bytearray(10))


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
@pytest.mark.parametrize("body", [b"", b"hello", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x9c"])
def test_what_is_not_compressed_so_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(BadInput, match=f"not sound {encoding}") as refusal:
        Inflater(Limits()).inflate(body, {"content-encoding": encoding})
    assert refusal.value.status == 400


def test_a_flipped_bit_is_found_by_gzip() -> None:
    body = bytearray(gzip.compress(PLAIN))
    body[-6] ^= 1

    with pytest.raises(BadInput, match="checksum"):
        Inflater(Limits()).inflate(bytes(body), {"content-encoding": "gzip"})


def test_what_is_handed_out_is_not_written_again() -> None:
    inflater = Inflater(Limits())
    first = inflater.inflate(gzip.compress(b"first"), {"content-encoding": "gzip"})
    inflater.inflate(gzip.compress(b"other"), {"content-encoding": "gzip"})

    assert first == b"first"
