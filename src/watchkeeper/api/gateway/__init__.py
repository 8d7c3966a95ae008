"""In front of every route: who asks, what they may, whose data it is, and how much of it."""
