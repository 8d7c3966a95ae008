"""A small shop of eight real processes, to be watched, broken and mended: `python -m shop`."""
