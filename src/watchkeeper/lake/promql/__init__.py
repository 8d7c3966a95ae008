"""PromQL: text -> tree -> values, a column of steps per series, as Prometheus 2 computes them."""
