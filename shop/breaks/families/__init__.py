"""One file per family of faults: how each begins. How it ends is told as it begins."""
