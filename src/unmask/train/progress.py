"""How far a run has come, how fast, and whether the device waits for data."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unmask.recipe import Train


class Clock:
    """Seconds since a run began, and how many of them it waited for data.

    Parameters
    ----------
    seconds, waited : float
        Of the run before it was stopped.
    """

    def __init__(self, *, seconds: float = 0.0, waited: float = 0.0) -> None:
        self.began, self.waited = time.monotonic() - seconds, waited
        self._mark = (seconds, waited)

    @property
    def seconds(self) -> float:
        """Since the run began, without the time for which it was stopped."""
        return time.monotonic() - self.began

    def wait(self, since: float) -> None:
        """Count the time from ``time.monotonic() == since`` to now as waiting."""
        self.waited += time.monotonic() - since

    def lap(self) -> dict[str, float]:
        """Return totals, and the share of the time since the last call that was waiting.

        A device that works on its own while the next batch is waited for does not starve, so the
        share is an upper bound.
        """
        now = (self.seconds, self.waited)
        passed, waited = (a - b for a, b in zip(now, self._mark, strict=True))
        self._mark = now
        share = waited / passed if passed > 0 else 0.0
        return {"seconds": now[0], "data_seconds": now[1], "data_share": share}


class Bar:
    """A progress bar on standard error; only one of several devices shows it.

    Parameters
    ----------
    settings : Train
        How many steps there are, or minutes.
    step : int
        Steps that are behind.
    spent : float
        Share of steps or time that is behind.
    shown : bool
        Whether there is anything to see.
    """

    def __init__(self, settings: Train, step: int, spent: float, *, shown: bool) -> None:
        is_timed = settings.minutes > 0
        self.total = round(60 * settings.minutes) if is_timed else settings.steps
        self.progress = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("s" if is_timed else "steps"),
            TextColumn("{task.fields[how]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        # Nothing is known of loss and speed before the first step, and in a run that is finished.
        done = round(spent * self.total)
        self.task = self.progress.add_task("train", total=self.total, completed=done, how="")
        self.last = (step, time.monotonic())

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def update(self, step: int, spent: float, *, loss: float, share: float) -> None:
        """Show a step; the speed is that since the last call."""
        now = time.monotonic()
        speed = (step - self.last[0]) / max(now - self.last[1], 1e-9)
        self.last = (step, now)
        how = f"loss {loss:.3f} {speed:.2f} steps/s {share:.0%} waiting for data"
        self.progress.update(self.task, completed=round(spent * self.total), how=how)
