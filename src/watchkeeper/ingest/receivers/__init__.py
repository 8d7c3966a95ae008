"""One file per protocol: pure decoding, bytes to columns."""
