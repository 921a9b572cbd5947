"""Where stems go: what a run writes, and the names of all its files, settled before it begins."""

from unmask.layout.jobs import Job, linked_folders, plan
from unmask.layout.output import FORMATS, Output
from unmask.layout.parts import Names, written

__all__ = ["FORMATS", "Job", "Names", "Output", "linked_folders", "plan", "written"]
