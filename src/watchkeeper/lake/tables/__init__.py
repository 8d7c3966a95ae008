"""Tables: log lines and spans, in a head in memory and in sorted Parquet segments."""
