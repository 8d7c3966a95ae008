"""`watchkeeper completions`: scripts for bash, zsh and fish, made from the parser itself."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

from watchkeeper import cli
from watchkeeper.cli.exits import Exit

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Choice:
    """A word that may come next, and what it is for."""

    word: str
    says: str


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="whose completions")


def run(given: argparse.Namespace) -> int:
    words = table(cli.build_parser())
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[given.shell](words)
    print(json.dumps({"shell": given.shell, "script": script}) if given.json else script, end="")
    if given.json:
        print()
    return Exit.OK


def table(parser: argparse.ArgumentParser, path: str = "") -> dict[str, list[Choice]]:
    """For every command (`config show`), what may follow it."""
    found: dict[str, list[Choice]] = {path: []}
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to walk a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001
            for name, command in action.choices.items():
                found[path].append(Choice(name, helps.get(name, "")))
                found |= table(command, f"{path} {name}".strip())
            continue
        says = action.help or ""
        found[path].extend(Choice(option, says) for option in action.option_strings)
        if not action.option_strings and action.choices:
            found[path].extend(Choice(str(choice), says) for choice in action.choices)
    return found


def _bash(words: dict[str, list[Choice]]) -> str:
    cases = "\n".join(
        f'    "{path}") words="{" ".join(choice.word for choice in choices)}" ;;'
        for path, choices in words.items()
    )
    return f"""\
# bash completion for watchkeeper: eval "$(watchkeeper completions bash)"
_watchkeeper() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" words="" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case " {" ".join(_commands(words))} " in
      *" $word "*) path="${{path:+$path }}$word" ;;
    esac
  done
  case "$path" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _watchkeeper watchkeeper
"""


def _zsh(words: dict[str, list[Choice]]) -> str:
    cases = "\n".join(
        f'    "{path}") choices=({" ".join(_zsh_word(choice) for choice in choices)}) ;;'
        for path, choices in words.items()
    )
    return f"""\
#compdef watchkeeper
# zsh completion for watchkeeper: eval "$(watchkeeper completions zsh)"
_watchkeeper() {{
  local route="" word
  local -a choices known
  known=({" ".join(_commands(words))})
  for word in ${{words[2,CURRENT-1]}}; do
    (( ${{known[(Ie)$word]}} )) && route="${{route:+$route }}$word"
  done
  case "$route" in
{cases}
  esac
  _describe watchkeeper choices || _files
}}
compdef _watchkeeper watchkeeper
"""


def _zsh_word(choice: Choice) -> str:
    says = choice.says.replace("'", "").replace(":", " -")
    return f"'{choice.word}:{says}'"


def _fish(words: dict[str, list[Choice]]) -> str:
    lines = ["# fish completion for watchkeeper: watchkeeper completions fish | source"]
    for path, choices in words.items():
        seen = " ".join(f"; and __fish_seen_subcommand_from {word}" for word in path.split())
        condition = f"true{seen}" if path else "__fish_use_subcommand"
        if any(not choice.word.startswith("-") for choice in choices):
            lines.append(f"complete -c watchkeeper -n '{condition}' -f")  # words, not files
        for choice in choices:
            says = choice.says.replace("'", "")
            flag = f"-l {choice.word[2:]}" if choice.word.startswith("--") else f"-a {choice.word}"
            if choice.word.startswith("-") and not choice.word.startswith("--"):
                flag = f"-s {choice.word[1:]}"
            lines.append(f"complete -c watchkeeper -n '{condition}' {flag} -d '{says}'")
    return "\n".join(lines) + "\n"


def _commands(words: dict[str, list[Choice]]) -> Iterator[str]:
    return iter(dict.fromkeys(word for path in words for word in path.split()))
