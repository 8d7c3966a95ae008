"""Faults of many kinds for a shop that runs: each begins, shows whether users feel it, and ends
without a trace. `python -m shop.breaks list`."""
