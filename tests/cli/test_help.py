"""What ``--help`` and ``--version`` say, and that both are fast and right."""

import os
import subprocess
import sys
from typing import Any

import pytest
import typer
import typer.main

import fakelens
from fakelens.cli.app import app
from support.commands import run

COMMANDS = [
    [],
    ["analyze"],
    ["render"],
    ["demo"],
    ["serve"],
    ["models"],
    ["models", "pull"],
    ["benchmark", "explain"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "fakelens")
def test_help_is_there_under_both_names(command: list[str]) -> None:
    long, short = run(*command, "--help"), run(*command, "-h")
    assert long.exit_code == short.exit_code == 0
    assert long.stdout == short.stdout
    assert "Usage:" in long.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"fakelens {fakelens.__version__}\n"


def find(words: list[str]) -> Any:
    """The command that a line calls."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
    return command


@pytest.mark.parametrize("command", ["analyze", "render", "serve", "benchmark explain"])
def test_the_examples_of_the_help_can_be_typed(command: str) -> None:
    title, *lines = (find(command.split()).epilog or "").split("\n\n")
    assert title == "Examples:"
    assert lines
    for line in lines:
        program, *words = line.split()
        assert program == "fakelens"
        assert " ".join(words).startswith(command)
        known = {option for parameter in find(words).params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_complete_commands(shell: str) -> None:
    command = [sys.executable, "-m", "fakelens"]
    environment = os.environ | {
        "_FAKELENS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "fakelens an",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "fakelens an",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "analyze" in done.stdout
