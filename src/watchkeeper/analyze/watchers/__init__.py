"""What watches more than one series at a time, or the time itself."""
