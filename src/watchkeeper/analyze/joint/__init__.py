"""Several series at once: the rows of a service, and what no series shows alone."""
