"""What the kernels of every layer share: the decorator, unaligned loads, hashes, arenas."""
