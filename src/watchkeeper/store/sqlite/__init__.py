"""State in one SQLite file: the default, with nothing beside the process."""
