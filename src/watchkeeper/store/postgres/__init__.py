"""State in PostgreSQL: where several processes share one installation."""
