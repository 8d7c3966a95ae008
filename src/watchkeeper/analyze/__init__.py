"""Layer 3: samples and windows in; anomalies, incidents, causes and predictions out."""
