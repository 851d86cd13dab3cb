"""One command for all: `textclf COMMAND …` and `python -m textclf COMMAND …` hand their arguments to that module.

Nothing is imported until a command is chosen.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys

COMMANDS = {
    "run": ("textclf.run", "train and test one model, or a sweep of them, and compare them"),
    "recommend": ("textclf.recommend", "say which model to use for your texts and labels"),
    "predict": ("textclf.predict.__main__", "predict texts, a file or a pipe with a run"),
    "label": ("textclf.label.__main__", "suggest labels for texts, to correct in the app"),
    "compare": ("textclf.compare.__main__", "compare finished runs"),
    "audit": ("textclf.audit.__main__", "look for what is wrong with a dataset"),
    "export": ("textclf.export.__main__", "write a run's classifier as ONNX, a Hub folder or a Space"),
    "register": ("textclf.register", "put a run's classifier into MLflow's registry"),
    "app": ("textclf.app.__main__", "a page to predict, give feedback and compare"),
    "ui": ("textclf.ui", "browse all runs in MLflow"),
    "sync": ("textclf.sync", "send MLflow what it missed"),
}
"""Module and purpose of each command."""
COMPLETION = ("-sc", "--shell-completion")
USAGE_ERROR = 2
BASH = """\
_textclf() {
    local line="${COMP_LINE:0:COMP_POINT}" word asked choices
    word="${line##* }"
    case "$line" in
        "textclf run "*) asked="textclf run" ;;
        "python -m textclf run "*) asked="python -m textclf run" ;;
        "python -m textclf.run "*) asked="python -m textclf.run" ;;
        "python3 -m textclf run "*) asked="python3 -m textclf run" ;;
        "python3 -m textclf.run "*) asked="python3 -m textclf.run" ;;
        "textclf "*" "*) return ;;
        "textclf "*) COMPREPLY=($(compgen -W "COMMANDS" -- "$word")); compopt +o nospace; return ;;
        *) return ;;
    esac
    choices="$(COMP_LINE="textclf ${line#"$asked "}" $asked -sc query=bash 2>/dev/null)"
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -o nospace -o bashdefault -o default -F _textclf textclf python python3
"""
"""Completion by bash of `textclf run` and `python -m textclf.run`.

Hydra's own script knows `python FILE.py` and installed commands, but no `python -m`. This one asks Hydra for the same
choices, and leaves all other commands of python to the shell.
"""


def help_text() -> str:
    """Return the commands with what each is for."""
    lines = [f"  {name:9} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            "textclf: which model is worth its cost on your texts?",
            "",
            "usage: textclf COMMAND [ARGUMENT ...]",
            "",
            *lines,
            "",
            "textclf COMMAND --help says what each takes. python -m textclf COMMAND is the same.",
        ]
    )


def main() -> None:
    """Hand the arguments to the command that they begin with; exit with 2 where there is no such command."""
    given = sys.argv[1:]
    if not given or given[0] in ("--help", "-h", "help"):
        print(help_text())
        return
    if given[0] == "--version":
        from textclf import __version__

        print(f"textclf {__version__}")
        return
    name, rest = given[0], given[1:]
    if name in COMPLETION:  # asked by the shell, which knows the command alone
        name, rest = "run", given
        os.environ["COMP_LINE"] = os.environ.get("COMP_LINE", "").replace(" run ", " ", 1)
    if name not in COMMANDS:
        print(f"error: {_unknown(name, given)}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    sys.argv[1:] = rest
    importlib.import_module(COMMANDS[name][0]).main()


def bash_script() -> str:
    """Return the script that bash evaluates to complete."""
    return BASH.replace("COMMANDS", " ".join(COMMANDS))


def _unknown(name: str, given: list[str]) -> str:
    """Return that there is no such command, and the one that was probably meant."""
    said = f"textclf has no command {name!r}; it has {', '.join(COMMANDS)}."
    if "=" in name or name.startswith("-"):
        return f"{said} Did you mean 'textclf run {' '.join(given)}'?"
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return said + (f" Did you mean {close[0]!r}?" if close else "")


if __name__ == "__main__":
    main()
