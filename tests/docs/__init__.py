"""What is documented, held by tests."""
