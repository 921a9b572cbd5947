"""What the README shows runs as it stands there."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from unmask.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def commands():
    """Command lines of the README that start with `unmask`."""
    blocks = re.findall(r"```\n(.*?)```", README, re.DOTALL)
    lines = "".join(blocks).splitlines()
    return [line.split("#")[0].split() for line in lines if line.startswith("unmask ")]


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_python_example_runs(code, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["estimates"].shape == (2, *names["mixture"].shape)
    assert 0 < abs(names["speech"]).max() < 1


@pytest.mark.parametrize("line", commands(), ids=" ".join)
def test_commands_and_options_exist(line):
    group, words = main, line[1:]
    while isinstance(group, click.Group) and (words or not group.invoke_without_command):
        assert words[0] in group.commands
        group, words = group.commands[words[0]], words[1:]
    known = {"--help"} | {option for parameter in group.params for option in parameter.opts}
    used = {word for word in words if word.startswith("-")}
    assert used <= known
    assert CliRunner().invoke(main, [*line[1 : len(line) - len(words)], "--help"]).exit_code == 0


def test_there_are_commands_to_check():
    assert len(commands()) >= 8
