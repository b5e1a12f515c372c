"""What ``--help`` and ``--version`` say, and that both are fast and right."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

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


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "fakelens")
def test_the_examples_of_the_help_can_be_typed(command: list[str]) -> None:
    said = CliRunner().invoke(app, [*command, "--help"], terminal_width=200).stdout
    _, _, examples = said.partition("Examples:")
    lines = [line.split() for line in examples.splitlines() if line.strip()]
    assert lines or command not in (["analyze"], ["render"], ["serve"], ["benchmark", "explain"])
    for program, *words in lines:
        assert program == "fakelens"
        options = {word for word in words if word.startswith("--")}
        depth = len([word for word in words[:2] if word in ("benchmark", "models")]) + 1
        help_of = CliRunner().invoke(app, [*words[:depth], "--help"], terminal_width=200).stdout
        assert all(option in help_of for option in options), (words, options)


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
