"""Models, callables and programs behind one call: a recording in, named signals out."""

import math
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from unmask import audio
from unmask._arrays import Array, to_numpy
from unmask.engine.model import Model, load_model
from unmask.errors import AudioFileError, ConfigError, FileError, ShapeError, SignalError, printable
from unmask.stems import MIXTURES, canonical

Stems = dict[str, Array]


class Separator(Protocol):
    """What is checked."""

    name: str
    sample_rate: int
    """Rate in Hz that most checks are made at."""
    promises: frozenset[str]
    """Names of checks that it must pass besides those that everyone must."""
    floor_db: float
    """Differences below this come of how its outputs are stored, in dB of full scale."""

    def separate(self, mixture: Array, sample_rate: int) -> Stems:
        """Return the outputs (channel, sample) for a recording (channel, sample)."""

    def separate_file(self, path: Path) -> Stems:
        """Return the outputs for a sound file."""


class CallableSeparator:
    """A Python function of ``(mixture, sample_rate)``.

    Parameters
    ----------
    function : callable
        Given a float32 array (channel, sample) and a rate in Hz, it returns stem -> array
        (channel, sample), or one such array, or one (source, channel, sample).
    name : str
    sample_rate : int
        In Hz.
    """

    def __init__(
        self, function: Callable[[Array, int], Any], *, name: str, sample_rate: int = 44100
    ) -> None:
        self._function, self.name, self.sample_rate = function, name, sample_rate
        self.promises, self.floor_db = frozenset[str](), -math.inf

    @classmethod
    def find(cls, said: str, *, sample_rate: int = 44100) -> "CallableSeparator":
        """Return the callable that ``module:function`` says.

        Raises
        ------
        ConfigError
            If there is no such module or callable.
        """
        module, _, name = said.partition(":")
        try:
            function = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"{said}: cannot be imported ({error}); expected module:function, of an installed "
                "package or of this folder"
            ) from error
        if not callable(function):
            raise ConfigError(f"{said}: is no callable, expected a function (mixture, sample_rate)")
        return cls(function, name=said, sample_rate=sample_rate)

    def separate(self, mixture: Array, sample_rate: int) -> Stems:
        """Call it; arrays of any library come back as NumPy's.

        Raises
        ------
        ShapeError
            If it returns an array of other axes than a signal's or some sources'.
        """
        found = self._function(mixture.copy(), sample_rate)
        if not isinstance(found, Mapping):
            array = to_numpy(found)
            if array.ndim not in (2, 3):
                raise ShapeError(
                    f"{self.name}: gave an array {array.shape}, expected (channel, sample), "
                    "(source, channel, sample) or a dict of arrays"
                )
            sources = array[None] if array.ndim == 2 else array
            found = {f"output {k + 1}": source for k, source in enumerate(sources)}
        return {str(name): to_numpy(source) for name, source in found.items()}

    def separate_file(self, path: Path) -> Stems:
        """Read the file and call it."""
        return self.separate(*audio.read(path))


class ModelSeparator:
    """A model of ours, with all its outputs.

    Parameters
    ----------
    name_or_path : str or path
        As :func:`unmask.load_model` takes it.
    """

    floor_db = -math.inf

    def __init__(self, name_or_path: str | Path) -> None:
        self._source = name_or_path
        self.model = load_model(name_or_path)
        self.name, self.sample_rate = self.model.name, self.model.sample_rate
        # What hears several channels at once may have learned that they differ.
        self.promises = frozenset({"sum", "twins"} if self.model.channels == 1 else {"sum"})

    def threaded(self, threads: int) -> Model:
        """Return the same model with another number of threads."""
        return load_model(self._source, threads=threads)

    def separate(self, mixture: Array, sample_rate: int) -> Stems:
        """Return stems and residual."""
        return self.model.separate(mixture, sample_rate, residual=True)

    def separate_file(self, path: Path) -> Stems:
        """Read the file and separate it."""
        return self.separate(*audio.read(path))


class CommandSeparator:
    """A program that reads a sound file and writes others.

    Parameters
    ----------
    command : str
        With ``{input}`` where the file goes and ``{output}`` where the folder goes that it writes
        to, or ``{output}.wav`` if it writes one file. No shell reads it.
    sample_rate : int
        Of what it is given, in Hz.
    timeout_s : float
        After which a run counts as failed.

    Raises
    ------
    ConfigError
        If the command lacks one of the two.
    """

    def __init__(self, command: str, *, sample_rate: int = 44100, timeout_s: float = 600) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"--command: {error}; check the quotes") from error
        if not all(any(part in word for word in self._words) for part in ("{input}", "{output}")):
            raise ConfigError(
                f"--command {command!r}: expected {{input}} and {{output}} in it, as "
                "'demucs -o {output} {input}'"
            )
        self.name = Path(self._words[0]).name
        self.sample_rate, self._timeout_s = sample_rate, timeout_s
        self.promises, self.floor_db = frozenset[str](), -math.inf

    def separate(self, mixture: Array, sample_rate: int) -> Stems:
        """Run it on a file of floating point."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "input.wav")
            audio.write(path, mixture, sample_rate, subtype="FLOAT")
            return self.separate_file(path)

    def separate_file(self, path: Path) -> Stems:
        """Run it.

        Raises
        ------
        FileError
            If it cannot be run, fails, takes too long or writes nothing.
        """
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "output")
            named = {"{input}": str(path), "{output}": str(output)}
            words = [_filled(word, named) for word in self._words]
            self._run(words)
            paths = _written(Path(folder), self.name)  # {output}.wav lies beside the folder
            self.floor_db = max(map(_floor_db, paths.values()))
            return {name: audio.read(path)[0] for name, path in paths.items()}

    def _run(self, words: list[str]) -> None:
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                timeout=self._timeout_s,
                check=False,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise FileError(
                f"{self.name}: did not end within {self._timeout_s:g} s; give it more (--timeout)"
            ) from error
        except OSError as error:
            raise FileError(
                f"{self.name}: cannot be run: {error.strerror}; check the name"
            ) from error
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "said nothing").splitlines()[-1]
            raise FileError(
                f"{self.name}: ended with code {done.returncode}: {printable(last)[:300]}"
            )


def _filled(word: str, named: Mapping[str, str]) -> str:
    for key, value in named.items():
        word = word.replace(key, value)
    return word


def _written(folder: Path, name: str) -> dict[str, Path]:
    """Return what a program wrote, by the names of the files; a copy of the mixture is none."""
    try:
        paths = audio.find(folder)
    except AudioFileError as error:
        raise FileError(f"{name}: wrote no sound file to {{output}}; check the command") from error
    paths = [path for path in paths if canonical(path.stem) not in MIXTURES] or paths
    names = [canonical(path.stem) for path in paths]
    if len(set(names)) < len(names):
        names = [str(path.relative_to(folder)) for path in paths]
    return dict(zip(names, paths, strict=True))


def _floor_db(path: Path) -> float:
    """Return what rounding in a file may differ by: two steps, of a recording at half of full."""
    bits = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(audio.info(path).subtype)
    return -math.inf if bits is None else 20 * math.log10(2.0 ** (2 - bits))


def identity(mixture: Array, sample_rate: int) -> Stems:
    """Return the mixture as the only stem: the separator that passes every check.

    Raises
    ------
    SignalError
        If the rate is none.
    """
    if sample_rate < 1:
        raise SignalError(f"sample_rate: {sample_rate} Hz, expected more than 0")
    return {"mixture": np.array(mixture)}
