"""How long a recording is: decided here for every reader, by what is in the file.

A header is a promise, and the size of the file is a fact. `measure` walks through a container,
compares the two, and says which stretches of the file hold sound (`Part`), with the lengths put
right that a header leaves open or cannot hold. A file that ends before its header says is refused;
so is one with sound behind its end. docs/containers.md says it for each container.
"""

from unmask.audio.lengths.measuring import measure
from unmask.audio.lengths.parts import Extent, Part
from unmask.audio.lengths.view import View

__all__ = ["Extent", "Part", "View", "measure"]
