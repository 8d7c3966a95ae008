"""The recording: what the log let go of, kept for a while, so that detection can be replayed."""
