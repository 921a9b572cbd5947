"""Make `music/`: four bars of stereo music as four stems and their sum, all from CC0 samples.

Every sound is a sample of the Debian package sonic-pi-samples 3.2.2~repack-8 (drum kit by
menegass, bass by ani_music, guitars by Sub-d, choir by Exsomniel, all CC0). This script places,
repitches and pans them; the tune is ours. ``apt-get download`` the package, ``dpkg-deb -x`` it to a
folder, and::

    python assets/make_music.py FOLDER

There is no solo singer among them; `vocals` is a choir. The script is not run by the
tests; it says where the files come from, and makes them again.
"""

import argparse
from pathlib import Path

import numpy as np

from unmask import audio

SAMPLE_RATE = 44100
BEAT_S = 0.5
N_SAMPLES = round(16 * BEAT_S * SAMPLE_RATE)
PEAK = 0.5

KICK, SNARE, HAT = "drum_bass_hard", "drum_snare_hard", "drum_cymbal_closed"
#: stem -> (recording, beat, gain, semitones, pan -1..1, longest length in beats)
SCORE = {
    "drums": [
        *[(KICK, beat, 0.8, 0, 0.0, 2) for beat in (0, 2.5, 4, 6.5, 8, 10.5, 12, 14.5)],
        *[(SNARE, beat, 0.6, 0, 0.1, 2) for beat in (1, 3, 5, 7, 9, 11, 13, 15)],
        *[(HAT, beat / 2, 0.25 + 0.1 * (beat % 2), 0, -0.4, 1) for beat in range(32)],
        ("drum_cymbal_open", 7.5, 0.25, 0, -0.4, 3),
        ("drum_tom_hi_hard", 14, 0.4, 0, 0.4, 2),
        ("drum_tom_lo_hard", 15.5, 0.5, 0, -0.5, 2),
    ],
    "bass": [
        ("bass_woodsy_c", beat, 0.5, semitones, 0.0, beats)
        for beat, semitones, beats in [
            (0, -8, 1.5), (1.5, -8, 0.5), (2.5, -1, 1), (3.5, 2, 0.5), (4, -8, 1.5), (6.5, -1, 1),
            (7.5, -3, 0.5), (8, 0, 2), (10.5, 0, 1), (11.5, 2, 0.5), (12, -5, 1.5), (14, -6, 1),
            (15, -8, 1),
        ]
    ],
    "other": [
        ("guit_em9", 0, 0.8, 0, 0.25, 8.5),
        ("guit_e_fifths", 8, 0.6, 0, -0.25, 4),
        ("guit_em9", 12, 0.8, -2, 0.25, 4),
    ],
    "vocals": [
        ("ambi_choir", beat, 1.6, semitones, pan, 4)
        for beat, semitones, pan in [
            (1, 3, -0.15), (3, 3, 0.15), (5, 3, -0.15), (7, 6, 0.15), (8.5, -1, -0.15),
            (10.5, -1, 0.15), (12.5, 1, -0.15), (14, 1, 0.15),
        ]
    ],
}  # fmt: skip


def note(folder: Path, name: str, semitones: float, beats: float) -> np.ndarray:
    """One recording as stereo, played faster or slower, and faded out after `beats`."""
    sound, rate = audio.read(folder / "usr/share/sonic-pi/samples" / f"{name}.flac")
    sound = audio.resample(sound, rate * 2 ** (semitones / 12), SAMPLE_RATE)
    sound = np.broadcast_to(sound, (2, sound.shape[-1])).copy()
    sound = sound[:, : round(beats * BEAT_S * SAMPLE_RATE)]
    fade = min(sound.shape[-1], round(0.02 * SAMPLE_RATE))
    sound[:, -fade:] *= np.linspace(1, 0, fade)
    return sound


def stem(folder: Path, notes: list[tuple]) -> np.ndarray:
    """Play `notes` in stereo; what rings on after the end is faded out."""
    out = np.zeros((2, N_SAMPLES + 20 * SAMPLE_RATE))
    for name, beat, gain, semitones, pan, beats in notes:
        sound = note(folder, name, semitones, beats)
        start = round(beat * BEAT_S * SAMPLE_RATE)
        sides = np.array([[min(1, 1 - pan)], [min(1, 1 + pan)]])
        out[:, start : start + sound.shape[-1]] += gain * sides * sound
    out = out[:, :N_SAMPLES]
    fade = round(0.05 * SAMPLE_RATE)
    out[:, -fade:] *= np.linspace(1, 0, fade)
    return out


def main() -> None:
    """Write one file per stem, scaled together so that their sum does not clip, and that sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the package is unpacked")
    folder = parser.parse_args().folder
    stems = {name: stem(folder, notes) for name, notes in SCORE.items()}
    gain = PEAK / np.max(np.abs(sum(stems.values())))
    stems = {name: np.rint(gain * sound * 2**15) / 2**15 for name, sound in stems.items()}
    stems["mixture"] = sum(stems.values())
    for name, sound in stems.items():
        path = Path(__file__).parent / "music" / f"{name}.flac"
        print(audio.write(path, sound, SAMPLE_RATE))


if __name__ == "__main__":
    main()
