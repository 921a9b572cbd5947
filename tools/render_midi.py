"""Render MIDI songs stem by stem: ``OUT/SONG/{drums,bass,guitar,other}.flac``, to train on.

Needs the programs and data of Debian's `fluidsynth` and `fluid-soundfont-gm` (MIT) and the package
`mido` (MIT). Which notes go where is told by the General MIDI program that a channel has when the
note begins: 24 to 31 is guitar, 32 to 39 bass, channel 10 drums, everything else other. All stems
of a song have one length and one gain, so that their sum does not clip; there is no reverb and no
chorus. The same MIDI files give the same sound. A song appears when it is complete; run again to
go on.

    python tools/render_midi.py freedoom/musics OUT --needs guitar bass drums --minutes 75
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mido
import numpy as np
import soundfile

from unmask import audio

STEMS = ("drums", "bass", "guitar", "other")
DRUM_CHANNEL = 9  # channel 10, counted from 1
FONT_RATE = 44100
SHORTEST_S = 30.0
TAIL_S = 2.0
"""Silence that is appended to a song, for the last notes to fade."""
PEAK = 0.9


@dataclass(frozen=True)
class Song:
    """A MIDI file, taken apart."""

    path: Path
    stems: dict[str, mido.MidiFile]
    """The same song with the notes of one stem each; stems without notes are left out."""
    shares: dict[str, float]
    """Share of the seconds in which a stem has a note."""
    length_s: float


def stem_of(channel: int, program: int) -> str:
    """Return where the notes go of a channel (from 0) with a General MIDI program (from 0)."""
    if channel == DRUM_CHANNEL:
        return "drums"
    return {3: "guitar", 4: "bass"}.get(program // 8, "other")


def take_apart(path: Path) -> Song:
    """Read a MIDI file and split it by stems; everything but notes goes to all of them."""
    source = mido.MidiFile(path, clip=True)
    tracks = {stem: mido.MidiTrack() for stem in STEMS}
    at, elapsed, tempo = dict.fromkeys(STEMS, 0), 0.0, 500_000
    ticks = 0
    programs: dict[int, int] = defaultdict(int)
    sounding: dict[tuple[int, int], str] = {}
    seconds: dict[str, set[int]] = {stem: set() for stem in STEMS}
    since: dict[tuple[int, int], int] = {}
    for message in mido.merge_tracks(source.tracks):
        ticks += message.time
        elapsed += mido.tick2second(message.time, source.ticks_per_beat, tempo)
        if message.type == "set_tempo":
            tempo = message.tempo
        targets: Iterable[str] = STEMS
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in {"note_on", "note_off"}:
            note = (message.channel, message.note)
            begins = message.type == "note_on" and message.velocity > 0
            if note in since:  # it ends here, or begins again
                seconds[sounding[note]].update(range(since.pop(note), int(elapsed) + 1))
            if begins:
                sounding[note] = stem_of(message.channel, programs[message.channel])
                since[note] = int(elapsed)
            targets = [sounding[note]] if note in sounding else []
        elif message.type == "end_of_track":
            continue
        for stem in targets:
            tracks[stem].append(message.copy(time=ticks - at[stem]))
            at[stem] = ticks
    tail = int(mido.second2tick(TAIL_S, source.ticks_per_beat, tempo))
    stems = {}
    for stem, track in tracks.items():
        if seconds[stem]:
            track.append(mido.MetaMessage("end_of_track", time=ticks + tail - at[stem]))
            stems[stem] = mido.MidiFile(
                type=0, ticks_per_beat=source.ticks_per_beat, tracks=[track]
            )
    shares = {stem: len(seconds[stem]) / (int(elapsed) + 1) for stem in STEMS}
    return Song(path, stems, shares, elapsed)


def synthesise(
    midi: mido.MidiFile, folder: Path, *, sample_rate: int, sound_font: Path
) -> np.ndarray:
    """Return what FluidSynth makes of `midi`, float32 (channel, sample), dry.

    At the rate of the sound font, and resampled: FluidSynth's own interpolation folds what lies
    above a lower band back into it.
    """
    score, sound = folder / "score.mid", folder / "sound.raw"
    midi.save(score)
    command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(FONT_RATE)]
    command += ["-O", "float", "-E", "little", "-T", "raw", "-F", str(sound)]
    subprocess.run([*command, str(sound_font), str(score)], check=True, stdout=subprocess.DEVNULL)
    stereo = np.fromfile(sound, np.dtype("<f4")).reshape(-1, 2).T
    return audio.resample(stereo, FONT_RATE, sample_rate)


def render(
    song: Song, out: Path, *, sample_rate: int, mono: bool, sound_font: Path
) -> dict[str, float]:
    """Write the stems of a song to a folder of its own; return their levels in dB."""
    with tempfile.TemporaryDirectory(dir=out, prefix=".") as name:
        folder = Path(name)
        sounds = {
            stem: synthesise(midi, folder, sample_rate=sample_rate, sound_font=sound_font)
            for stem, midi in song.stems.items()
        }
        if mono:
            sounds = {stem: x.mean(axis=0, keepdims=True) for stem, x in sounds.items()}
        n_samples = max(x.shape[1] for x in sounds.values())
        padded = {s: np.pad(x, ((0, 0), (0, n_samples - x.shape[1]))) for s, x in sounds.items()}
        gain = PEAK / max(np.abs(x).max() for x in [sum(padded.values()), *padded.values()])
        whole = folder / song.path.stem
        whole.mkdir()
        for stem, x in padded.items():
            soundfile.write(whole / f"{stem}.flac", gain * x.T, sample_rate, subtype="PCM_16")
        os.replace(whole, out / song.path.stem)
    return {s: 20 * np.log10(gain * np.sqrt(np.mean(x**2)) + 1e-9) for s, x in padded.items()}


def choose(songs: Iterable[Song], *, needs: list[str], share: float, minutes: float) -> list[Song]:
    """Return the songs in which all of `needs` play, the best first, up to so many minutes.

    Jingles of less than half a minute are left out.
    """

    def least(song: Song) -> float:
        return min((song.shares[stem] for stem in needs), default=1.0)

    chosen, length_s = [], 0.0
    for song in sorted(songs, key=least, reverse=True):
        if least(song) < share or not song.stems or song.length_s < SHORTEST_S:
            continue
        if length_s + song.length_s <= 60 * minutes:
            chosen.append(song)
            length_s += song.length_s
    return chosen


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("midi", type=Path, help="folder of .mid files, searched with all below it")
    parser.add_argument("out", type=Path, help="where the folders of stems go")
    parser.add_argument("--sound-font", type=Path, default="/usr/share/sounds/sf2/FluidR3_GM.sf2")
    parser.add_argument("--sample-rate", type=int, default=44100)
    parser.add_argument("--mono", action="store_true")
    parser.add_argument(
        "--needs", nargs="*", default=[], choices=STEMS, help="stems that must play"
    )
    parser.add_argument("--share", type=float, default=0.25, help="of the seconds, at least")
    parser.add_argument("--minutes", type=float, default=np.inf, help="of music, at most")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("fluidsynth") is None or not options.sound_font.is_file():
        sys.exit(f"fluidsynth or {options.sound_font}: not found; install fluid-soundfont-gm too")
    options.out.mkdir(parents=True, exist_ok=True)
    songs = map(take_apart, sorted(options.midi.rglob("*.mid")))
    chosen = choose(songs, needs=options.needs, share=options.share, minutes=options.minutes)
    waiting = [song for song in chosen if not (options.out / song.path.stem).exists()]
    work = partial(
        render,
        out=options.out,
        sample_rate=options.sample_rate,
        mono=options.mono,
        sound_font=options.sound_font,
    )
    with ThreadPoolExecutor(options.jobs) as pool:
        for song, levels in zip(waiting, pool.map(work, waiting), strict=True):
            told = " ".join(
                f"{stem} {levels[stem]:.0f} dB {song.shares[stem]:.0%}" for stem in levels
            )
            print(f"{song.path.stem}: {song.length_s:.0f} s, {told}", flush=True)


if __name__ == "__main__":
    main()
