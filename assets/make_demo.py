"""Make `demo/`: a real voice in front of real water, and each of them alone.

Speech: Debian package tuxpaint-stamps-default 2022.06.04-1, GPL-2: how the knight moves, in
Bulgarian. No bundled model was trained on it.
Noise: Debian package minetest-data 5.6.1, four cuts of one recording of flowing water, CC0, Yuval
(freesound 197023). ``apt-get download`` both, ``dpkg-deb -x`` both to one folder, and::

    python assets/make_demo.py FOLDER

The script is not run by the tests; it says where the files come from, and makes them again.
"""

import argparse
from pathlib import Path

import numpy as np
import soxr

from unmask import audio

SAMPLE_RATE = 16000
SPEECH = "usr/share/tuxpaint/stamps/symbols/chess/w_4_knight_desc_bg.ogg"
WATER = (
    "usr/share/games/minetest/games/minetest_game/mods/env_sounds/sounds/env_sounds_water.{}.ogg"
)
PAUSE_S = 0.35
#: The cuts fade in and out over 2 s; laid 3.1 s apart they make one steady stretch.
SPACING_S = 3.1
SKIP_S = 1.4
SNR_DB = 5.0
PEAK = 0.7


def speech(folder: Path) -> np.ndarray:
    """Resample the sentence and give it a short pause before and after."""
    samples, rate = audio.read(folder / SPEECH)
    return np.pad(soxr.resample(samples[0], rate, SAMPLE_RATE), round(PAUSE_S * SAMPLE_RATE))


def water(folder: Path, n_samples: int) -> np.ndarray:
    """Overlap the four cuts, and leave out the first fade."""
    cuts = [audio.read(folder / WATER.format(k)) for k in (1, 2, 3, 4)]
    cuts = [soxr.resample(cut[0], rate, SAMPLE_RATE) for cut, rate in cuts]
    starts = [round(k * SPACING_S * SAMPLE_RATE) for k in range(len(cuts))]
    out = np.zeros(starts[-1] + len(cuts[-1]))
    for start, cut in zip(starts, cuts, strict=True):
        out[start : start + len(cut)] += cut
    skip = round(SKIP_S * SAMPLE_RATE)
    return out[skip : skip + n_samples]


def main() -> None:
    """Write speech.flac, noise.flac and mixture.flac, their exact sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the packages are unpacked")
    folder = parser.parse_args().folder
    stems = {"speech": speech(folder)}
    stems["noise"] = water(folder, len(stems["speech"]))
    ratio = np.sum(stems["speech"] ** 2) / np.sum(stems["noise"] ** 2)
    stems["noise"] *= np.sqrt(ratio / 10 ** (SNR_DB / 10))
    gain = PEAK / np.max(np.abs(stems["speech"] + stems["noise"]))
    stems = {name: np.rint(gain * stem * 2**15) / 2**15 for name, stem in stems.items()}
    stems["mixture"] = stems["speech"] + stems["noise"]
    for name, stem in stems.items():
        path = Path(__file__).parent / "demo" / f"{name}.flac"
        print(audio.write(path, stem[None], SAMPLE_RATE))


if __name__ == "__main__":
    main()
