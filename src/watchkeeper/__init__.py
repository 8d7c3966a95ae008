"""Watchkeeper: an AIOps engine that observes, explains and acts.

The walk, left to right:
    ingest    bytes -> signals, durable before they are acknowledged
    stream    signals -> windows
    analyze   samples and windows -> anomalies -> incidents with their causes
    act       incidents -> messages, and changes that a person allowed
    know      outcomes and verdicts -> better answers
"""

__version__ = "0.1.0"
