"""What was told of one stretch of time, as a case holds it. Pure: `gather_stage.py` reads it."""
