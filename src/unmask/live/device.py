"""A stream from a microphone to a loudspeaker: the only file that imports sounddevice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from threading import Event
from typing import Any

from unmask._arrays import Array
from unmask.errors import ConfigError, MissingExtraError
from unmask.live.ring import Ring
from unmask.live.tap import Tap, delay

# Sound that may wait for a worker that is held up, before some is lost.
_PATIENCE_S = 1.0
_LOOK_S = 0.1

#: Number of a sound device, a part of its name, or the system's choice.
Device = int | str | None


def sound_card() -> Any:
    """Return the module sounddevice.

    Raises
    ------
    MissingExtraError
        If it, or the library PortAudio, is not installed.
    """
    try:
        import sounddevice
    except ImportError:
        raise MissingExtraError(
            'live sound needs sounddevice, which is not installed; pip install "unmask[live]"'
        ) from None
    except OSError as error:
        raise MissingExtraError(
            f"live sound needs PortAudio: {error}; install it, on Debian as libportaudio2"
        ) from error
    return sounddevice


class Duplex:
    """A callback for a sound card, and the work that it leaves to another thread.

    The network runs once a hop, for several milliseconds; the sound card calls once a block from a
    thread that must return within microseconds. So the callback only copies: in to one ring, out of
    another, and never waits. The worker has one whole block of time, which costs one block of
    latency against working in the callback, and a worker that is late costs a gap and no crash.

    Time is kept: sound that comes too late to be played is dropped, so that what is played is
    always :attr:`delay` samples behind what is heard.

    Parameters
    ----------
    tap : Tap
    block : int >= 1
        Samples that the sound card gives and takes at a time.

    Attributes
    ----------
    delay : int
        Samples between what is heard and what is played, without those in the sound card.
    device_s : float
        Seconds that the sound card itself adds, by its own account.
    n_underruns, n_silent : int
        Calls that had too little to play, and samples that were silence instead.
    n_overruns, n_lost : int
        Calls whose sound found no room because the worker was held up, and samples lost so.
    n_faults : int
        Calls in which the sound card itself said that it was late.
    """

    def __init__(self, tap: Tap, *, block: int) -> None:
        streamer = tap.streamer
        self.tap = tap
        self.block = block
        self.device_s = 0.0
        n_waiting = max(block, round(_PATIENCE_S * streamer.sample_rate))
        self.delay = delay(streamer, block) + 1
        self._heard = Ring(n_waiting, streamer.n_channels)
        self._ready = Ring(n_waiting + self.delay, streamer.n_channels)
        self._n_first = self.delay
        self._n_late = 0
        self._wake = Event()
        self._stopped = False
        self.n_underruns = self.n_silent = self.n_overruns = self.n_lost = self.n_faults = 0

    def callback(self, heard: Array, played: Array, n_samples: int, _time: Any, fault: Any) -> None:
        """Take in `heard` and fill `played`, both (sample, channel); called by the sound card."""
        n_lost = n_samples - self._heard.push(heard)
        self._wake.set()
        n_silent = self._play(played)
        # What was lost on the way in never becomes late.
        self._n_late = max(0, self._n_late + n_silent - n_lost)
        self.n_faults += bool(fault)
        self.n_overruns += n_lost > 0
        self.n_lost += n_lost
        self.n_underruns += n_silent > 0
        self.n_silent += n_silent

    def work(self) -> None:
        """Separate what comes until :meth:`stop`; for a thread of its own."""
        while not self._stopped:
            self._wake.wait()
            self._wake.clear()
            self.separate()

    def separate(self) -> None:
        """Separate what has been heard by now."""
        heard = self._heard.pull(len(self._heard))
        self._ready.push(self.tap.process(heard.T).T)

    def stop(self) -> None:
        """End :meth:`work`."""
        self._stopped = True
        self._wake.set()

    def _play(self, played: Array) -> int:
        """Fill `played`; return how many samples of it had to be silence."""
        n_before = min(self._n_first, len(played))
        self._n_first -= n_before
        self._n_late -= len(self._ready.pull(self._n_late))
        frames = self._ready.pull(len(played) - n_before)
        end = n_before + len(frames)
        played[:n_before], played[n_before:end], played[end:] = 0, frames, 0
        return len(played) - end


def run(duplex: Duplex, sound: Any, *, devices: tuple[Device, Device] = (None, None)) -> None:
    """Separate what the microphone hears into the loudspeaker until a device or Ctrl-C ends it.

    Parameters
    ----------
    duplex : Duplex
    sound : module
        What :func:`sound_card` returns.
    devices : pair of int, str or None
        Input and output by number or a part of the name; None is the system's choice.

    Raises
    ------
    ConfigError
        If the sound card refuses.
    """
    streamer = duplex.tap.streamer
    with refusals(sound):
        stream = sound.Stream(
            samplerate=streamer.sample_rate,
            blocksize=duplex.block,
            device=devices,
            channels=streamer.n_channels,
            dtype="float32",
            latency="low",
            callback=duplex.callback,
        )
    duplex.device_s = sum(stream.latency)
    with closing(stream), ThreadPoolExecutor(1) as pool:
        worker = pool.submit(duplex.work)
        try:
            with refusals(sound):
                stream.start()
            while stream.active and not wait([worker], timeout=_LOOK_S).done:
                pass
        finally:
            duplex.stop()
        worker.result()


@contextmanager
def refusals(sound: Any) -> Iterator[None]:
    """Say in one line what the sound card says.

    Raises
    ------
    ConfigError
        If it refuses.
    """
    try:
        yield
    except (sound.PortAudioError, ValueError) as error:
        raise ConfigError(f"sound card: {error}; see --list-devices") from error


def default_rate(sound: Any, device: Device) -> int:
    """Return the sample rate in Hz that an input device prefers."""
    with refusals(sound):
        return int(sound.query_devices(device, "input")["default_samplerate"])
