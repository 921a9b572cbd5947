"""Files in, files out: recordings are streamed through a model and appear whole or not at all."""

from unmask.separate.elsewhere import plan_with_urls
from unmask.separate.run import Progress, Result, separate_file, separate_files

__all__ = ["Progress", "Result", "plan_with_urls", "separate_file", "separate_files"]


def __dir__() -> list[str]:
    return __all__
