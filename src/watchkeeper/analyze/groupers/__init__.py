"""Which alerts are of one trouble: one way of telling per file."""
