"""State: few rows, transactional."""
