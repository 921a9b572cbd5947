"""What others wrote reaches the terminal as one harmless line, whatever it can show."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import onnx_models
from unmask.cli import main, show
from unmask.errors import ModelError, one_line, printable

EVIL = "a\x1b]0;owned\x07\nunmask: all is well\r\x9b31m\u202e\u2028\udcff"


@pytest.mark.parametrize(
    "text", ["naïve.wav", "日本\u3000.wav", "می\u200cخواهم", "👩\u200d🚒", "a b"]
)
def test_names_of_all_languages_stay(text):
    assert printable(text) == text


def test_what_steers_a_terminal_or_forges_a_line_is_escaped():
    assert printable(EVIL).isprintable()
    assert printable("\x1b[31m\n\udcff") == r"\x1b[31m\n\udcff"


def test_errors_and_their_notes_are_one_line():
    error = ModelError(f"{EVIL}: is none")
    error.add_note(EVIL)
    assert one_line(error).isprintable()


def test_tables_and_lines_are_printable(capsys):
    show.table([{"x": EVIL, "y": 1}], {"x": EVIL, "y": "y"}, title=EVIL)
    show.say(EVIL)
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert "\nunmask: all" not in out


def test_a_model_cannot_steer_the_terminal(tmp_path):
    path = onnx_models.constant(
        tmp_path / "m.onnx", [[0.5, 0]], licence=EVIL, training={EVIL: EVIL}
    )
    result = CliRunner().invoke(main, ["models", "show", str(path)])
    assert result.exit_code == 0
    assert result.output.replace("\n", "").isprintable()
    assert "\nunmask: all" not in result.output


def test_a_terminal_that_cannot_show_a_name_ends_nothing():
    code = "from unmask.cli import main, show\n"
    code += "main.commands['info'].callback = lambda **_: show.say('日本')\nmain(['info'])"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert (done.returncode, done.stdout.strip()) == (0, rb"\u65e5\u672c")


def test_help_is_there_by_its_short_name():
    for arguments in (["-h"], ["models", "-h"], ["denoise", "-h"]):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, "Usage:" in result.output) == (0, True)
