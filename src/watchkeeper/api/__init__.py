"""HTTP: the doors in, and everything readable."""
