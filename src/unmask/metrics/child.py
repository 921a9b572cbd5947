"""A library of C that may overrun its arrays, in a process of its own: it cannot end ours."""

import atexit
import pickle
import subprocess
import sys
from typing import Any

from unmask.errors import SignalError

# What the child runs. Its standard output is the answer's, whatever the library prints.
_CODE = """
import os, pickle, sys
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
import pesq
while True:
    try:
        arguments = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    try:
        answer = float(pesq.pesq(*arguments))
    except Exception as error:
        answer = type(error).__name__, str(error)
    pickle.dump(answer, answers)
    answers.flush()
"""


class PesqChild:
    """PESQ's library in another process, started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def score(self, *arguments: Any) -> float | tuple[str, str]:
        """Return the library's score, or the name and the message of its exception.

        Raises
        ------
        SignalError
            If the library ended its process.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            atexit.register(self.close)
        try:
            assert self._process.stdin
            assert self._process.stdout
            pickle.dump(arguments, self._process.stdin)
            self._process.stdin.flush()
            answer: float | tuple[str, str] = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self.close()
            raise SignalError(
                "PESQ's library broke down, as it does beyond about 50 utterances, expected 8 to "
                "30 s of speech; score the recording in pieces"
            ) from None
        except BaseException:  # an answer may be under way, which would be taken for the next
            self.close()
            raise
        return answer

    def close(self) -> None:
        """End the process."""
        atexit.unregister(self.close)
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
