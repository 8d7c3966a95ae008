"""A text that prints as stars."""

from __future__ import annotations

from typing import Self


class Secret(str):
    """A text that prints as stars; hand `reveal()` to whoever really needs it."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Of a secret, too; str() of one would make a secret of the stars."""
        return super().__new__(cls, text.reveal() if isinstance(text, Secret) else text)

    def reveal(self) -> str:
        return str.__str__(self)

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret('***')"

    def __format__(self, spec: str) -> str:
        return format("***", spec)
