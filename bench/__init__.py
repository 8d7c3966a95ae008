"""Speed, side by side with peers on the same machine: `python -m bench <suite>`."""
