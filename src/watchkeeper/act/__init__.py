"""What leaves Watchkeeper for others to see."""
