"""Scores on labelled and on made-up data: `python -m quality <suite> --data <folder>`."""
