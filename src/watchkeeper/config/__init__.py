"""Configuration: YAML with `${ENV}`, checked whole, every fault at once; and the environment."""

from __future__ import annotations

from watchkeeper.config.environment import ClientSettings, client_settings
from watchkeeper.config.loading import Loaded, load
from watchkeeper.config.sections import SECTIONS, Chosen, Config

__all__ = [
    "SECTIONS",
    "Chosen",
    "ClientSettings",
    "Config",
    "Loaded",
    "client_settings",
    "load",
]
