"""What is known of what was done."""
