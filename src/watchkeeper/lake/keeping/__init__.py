"""Keeping segments in a folder: what the lake of samples and the tables of rows do alike."""
