"""Records: what the layers say to each other. Frozen, and free of databases, HTTP and clocks."""
