"""Whole apps: what goes in, and what comes out."""
