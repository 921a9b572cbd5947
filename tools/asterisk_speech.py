"""Decode the announcements of Asterisk, studio recordings of five speakers, to train with.

``python tools/asterisk_speech.py SOUNDS RECORDINGS`` reads the folder ``usr/share/asterisk/sounds``
of Debian's packages asterisk-core-sounds-{en,es,fr,it,ru}-g722 (``apt-get download``, then
``dpkg-deb -x PACKAGE FOLDER``), writes RECORDINGS/speech/asterisk/SPEAKER/*.flac, and adds them to
RECORDINGS/manifest.csv where there is one.
"""

import argparse
import csv
from pathlib import Path

import av
import numpy as np
import soundfile

SHARE_ALIKE, ATTRIBUTION = "CC-BY-SA 3.0", "CC-BY 3.0"
LICENCES = {
    "en_US_f_Allison": SHARE_ALIKE,
    "es_MX_f_Allison": SHARE_ALIKE,
    "fr_CA_f_June": SHARE_ALIKE,
    "it_IT_m_Carlo": ATTRIBUTION,
    "ru_RU_f_IvrvoiceRU": ATTRIBUTION,
}
RATE = 16000


def decode(path):
    """Return the samples of a bare G.722 file; some have none."""
    with av.open(path, format="g722") as file:
        frames = [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]
    return np.concatenate(frames) if frames else np.zeros(0, np.int16)


def add_to_manifest(manifest, rows):
    """Add `rows` (dicts) to a manifest that is there, leaving out what it lists."""
    with manifest.open(newline="") as file:
        reader = csv.DictReader(file)
        columns, listed = reader.fieldnames, {row["path"] for row in reader}
    with manifest.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writerows(row for row in rows if row["path"] not in listed)


def main(words=None):
    """Do what the module says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sounds", type=Path)
    parser.add_argument("recordings", type=Path)
    args = parser.parse_args(words)
    if missing := [speaker for speaker in LICENCES if not (args.sounds / speaker).is_dir()]:
        parser.error(f"{args.sounds}: no folders {', '.join(missing)}; unpack the five packages")
    rows = []
    for speaker, licence in LICENCES.items():
        out = args.recordings / "speech" / "asterisk" / speaker
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted((args.sounds / speaker).rglob("*.g722")):
            if path.parent.name != "silence" and len(samples := decode(path)):
                name = out / f"{'-'.join(path.relative_to(args.sounds / speaker).parts)[:-5]}.flac"
                soundfile.write(name, samples, RATE)
                relative = name.relative_to(args.recordings).as_posix()
                rows.append({"path": relative, "licence": licence, "split": "train"})
    manifest = args.recordings / "manifest.csv"
    if manifest.exists():
        add_to_manifest(manifest, rows)
    print(f"{len(rows)} files below {args.recordings / 'speech' / 'asterisk'}")


if __name__ == "__main__":
    main()
