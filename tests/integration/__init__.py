"""Real servers and real clients, on this machine."""
