"""What is a value by its shape, the same for the logs of all programs."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.template_form import form, tokens
from watchkeeper.model.template import pattern


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("cannot read /var/log/a.log: denied", "cannot read <*>: denied"),
        ("loaded ./lib.so, ../b and http://c/d.", "loaded <*> and <*>."),
        ("and / or, n/a", "and / or, n/a"),
        ("GET /api/orders/7 took 3 ms", "GET <*> took <*>"),
        ("free 7 KB of 9 bytes in 2 seconds", "free <*> of <*> in <*>"),
        ("7 broken parts", "<*> broken parts"),
        ("topic=a bytes=7", "topic=<*> bytes=<*>"),
        ("at Mon Jun 7 10:00:00 2005", "at <*>"),
        ("Mon Dieu, Mar", "Mon Dieu, Mar"),
        ("from 10.0.0.1 () on", "from <*> (<*>) on"),
        ("init() done", "init() done"),
        ("blocks 1 2 3, 4 lost", "blocks <*> lost"),
        ("\x1b[31m7\x1b[0m failed", "<*> failed"),
        (
            "Boom: no\n\tat a.B.c(B.java:7)\n\tat a.D.<init>(D.java:9)\n\t... 12 more",
            "Boom: no at <*>",
        ),
        (
            '{"level": "info", "msg": "user 7 of /a/b"}',
            '{"level": "<*>", "msg": "user <*> of <*>"}',
        ),
        ("", ""),
    ],
)
def test_what_stays_of_a_line(line: str, shown: str) -> None:
    assert form(pattern(line)) == shown


def test_a_stack_has_one_form_however_deep_it_is() -> None:
    frames = "".join(f"\n\tat a.B.call{'x' * n}(B.java:{n})" for n in range(9))

    assert form(pattern(f"Boom{frames}")) == form(pattern("Boom\n\tat main(A.java)"))


def test_a_line_of_a_megabyte_has_the_form_of_its_beginning() -> None:
    line = "word " * 200_000

    assert form(pattern(line)) == ("word " * 200).strip()


def test_tokens_are_words_marks_and_values() -> None:
    assert tokens("a-b: <*>=c.d(<*>)") == ["a-b", ":", " ", "<*>", "=", "c.d", "(", "<*>", ")"]
