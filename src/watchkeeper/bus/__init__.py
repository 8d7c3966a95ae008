"""What carries records between stages: the port, and its forms."""
