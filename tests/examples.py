"""How many examples a property is shown that needs more of them than others."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

MANY: Final = settings(max_examples=2 * settings().max_examples)
"""Of short examples with much to choose from; far more on a soak, as of all."""
