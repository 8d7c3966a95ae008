"""Layer 1: bytes in, signals out, durable before they are acknowledged."""
