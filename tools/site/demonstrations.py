"""Two recordings taken apart by the bundled models, to be heard and seen on the first page."""

import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import unmask
from unmask import audio, plots

_ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent
_PLAYER = "src/unmask/listen/page/player.js"
#: Name on the page -> folder in `assets/`, model.
DEMONSTRATIONS = {"voice": ("demo", "denoise-48k-base"), "song": ("music", "music")}
#: Name on the page -> track -> what it is called.
LABELS = {
    "voice": {"mixture": "Recording", "speech": "Speech", "noise": "What was taken out"},
    "song": dict(mixture="Song", vocals="Vocals", drums="Drums", bass="Bass", other="Other"),
}
#: Of every picture: where in it the sound is, as a style.
_places: dict[tuple[str, str], str] = {}


def made() -> dict[str, str | bytes]:
    """Return sounds and pictures of both, and what plays them, by their place on the site."""
    files: dict[str, str | bytes] = {
        "assets/player.js": (_ROOT / _PLAYER).read_bytes(),
        "assets/demo.js": (_HERE / "demo.js").read_bytes(),
        "assets/site.css": (_HERE / "site.css").read_bytes(),
        "assets/icon.svg": (_ROOT / "src/unmask/listen/page/icon.svg").read_bytes(),
    }
    for name, (folder, model) in DEMONSTRATIONS.items():
        mixture, sample_rate = audio.read(_ROOT / "assets" / folder / "mixture.flac")
        stems = unmask.load_model(model).separate(mixture, sample_rate)
        sounds = {"mixture": mixture, **stems}
        if len(stems) == 1:  # a denoiser gives the speech alone
            sounds["noise"] = mixture - stems["speech"]
        for track, sound in sounds.items():
            made, _places[name, track] = _files(sound, sample_rate, mixture)
            files |= {f"assets/demo/{name}-{track}.{end}": held for end, held in made.items()}
    return files


def _files(
    sound: NDArray[np.float32], rate: int, mixture: NDArray[np.float32]
) -> tuple[dict[str, bytes], str]:
    """Return a sound as FLAC and its picture as PNG, and where in the picture the sound is."""
    hop = 512 if rate > 30000 else 256
    stft = unmask.STFT(n_fft=4 * hop, hop=hop)
    spectrum, whole = (np.abs(stft.analyze(x)).mean(0) for x in (sound, mixture))
    times = np.arange(spectrum.shape[-1]) * (hop / rate)
    plane = plots.Plane(times, stft.frequencies(rate), scale="log")
    figure = plots.spectrogram_figure({"": spectrum}, plane, loudest=float(whole.max()))
    figure.set_size_inches(7.2, 2.2)
    with tempfile.TemporaryDirectory() as folder:
        audio.write(f"{folder}/sound.flac", sound, rate, subtype="PCM_16")
        plots.write_figure(f"{folder}/picture.png", figure)
        names = {"flac": "sound.flac", "png": "picture.png"}
        files = {suffix: Path(folder, name).read_bytes() for suffix, name in names.items()}
    box = figure.axes[0].get_position()  # known once it is drawn
    place = {"left": box.x0, "width": box.width, "top": 1 - box.y1, "height": box.height}
    return files, "; ".join(f"--{name}: {100 * share:.2f}%" for name, share in place.items())


def shown(markdown: str) -> str:
    """Return a page with the demonstrations in the place of what stands for them."""
    return re.sub(r"<!-- demonstration: (\w+) -->", lambda found: _markup(found[1]), markdown)


def _markup(name: str) -> str:
    figures = "".join(
        f'<figure data-label="{label}" data-sound="assets/demo/{name}-{track}.flac" '
        f'style="{_places[name, track]}">'
        f'<img src="assets/demo/{name}-{track}.png" alt="Spectrogram: {label}">'
        f'<figcaption>{label}</figcaption><audio controls preload="none" '
        f'src="assets/demo/{name}-{track}.flac"></audio></figure>'
        for track, label in LABELS[name].items()
    )
    script = '<script type="module" src="assets/demo.js"></script>'
    return f'<div class="demo">{figures}</div>{script}'
