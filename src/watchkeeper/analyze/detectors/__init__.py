"""One file per detector: a pure kernel over columns, its state in arrays over all series."""
