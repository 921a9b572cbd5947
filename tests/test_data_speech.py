"""What examples of speech in noise can be made harder by, one setting each."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from unmask.data import Recordings, SpeechInNoiseConfig, augment
from unmask.data.cache import Cache
from unmask.data.floor import lower_floor
from unmask.data.speech_in_noise import make
from unmask.data.store import Disk
from unmask.errors import ConfigError

RATE = 8000
#: Nothing but what a test asks for: no filters, no other speed, no room.
PLAIN = SpeechInNoiseConfig(
    sample_rate=RATE,
    seconds=0.5,
    recordings=(
        Recordings(role="speech", glob="speech/*.wav", valid_share=0.5),
        Recordings(role="noise", glob="noise/*.wav", valid_share=0.5),
    ),
    snr_db=(5.0, 5.0),
    level_db=(-20.0, -20.0),
    clean_share=0.0,
    noise_share=0.0,
    second_noise_share=0.0,
    synthetic_share=0.0,
    equalise_db=0.0,
    speed=(1.0, 1.0),
    reverb_share=0.0,
)


def tone(frequency_hz, n_samples=8000):
    return np.sin(2 * np.pi * frequency_hz / RATE * np.arange(n_samples))


@pytest.fixture
def example(tmp_path):
    """Return the first example with some settings: speech is 500 Hz, noise is 2 kHz."""
    for k in range(6):
        for name, frequency in (("speech", 500), ("noise", 2000)):
            (tmp_path / name).mkdir(exist_ok=True)
            soundfile.write(tmp_path / name / f"{k}.wav", 0.5 * tone(frequency), RATE)

    def first(**settings):
        config = replace(PLAIN, **settings)
        made = make(config, tmp_path, tmp_path / "cache", seed=0, n_examples=1)[0][0]
        return made["mixture"][0], made["targets"][0, 0]

    return first


def energy(x, low_hz, high_hz):
    """Share of the energy between two frequencies."""
    power = np.abs(np.fft.rfft(x)) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / RATE)
    return power[(frequency >= low_hz) & (frequency < high_hz)].sum() / power.sum()


def test_babble_is_made_of_speech(example):
    mixture, target = example()
    assert energy(mixture - target, 1900, 2100) > 0.99
    mixture, target = example(babble_share=1.0)
    assert energy(mixture - target, 400, 600) > 0.99


def test_rumble_is_in_the_mixture_alone_and_low(example):
    mixture, target = example(rumble_share=1.0)
    noise = mixture - target
    assert energy(target, 400, 600) > 0.99
    assert energy(noise, 0, 60) > 0.005
    assert energy(noise, 0, 60) + energy(noise, 1900, 2100) > 0.99
    assert abs(noise.mean()) > 1e-4 * np.abs(noise).max()


def test_clipping_distorts_the_mixture_and_not_the_target(example):
    mixture, target = example(clipped_share=1.0)
    assert energy(target, 400, 600) > 0.99
    # two tones have their harmonics above 3 kHz from clipping alone
    assert energy(mixture, 3000, 4000) > 1e-3
    assert energy(example()[0], 3000, 4000) < 1e-6


def test_what_is_clipped_lies_3_to_12_db_below_its_peak(rng):
    x = tone(50)
    below_db = [augment.draw_clipping(rng) for _ in range(50)]
    clipped = augment.clipped(np.tile(x, (50, 1, 1)), below_db, Disk())
    peaks = 20 * np.log10(np.abs(clipped).max(axis=(1, 2)))
    assert peaks == pytest.approx(-np.array(below_db), abs=0.01)
    assert -12.01 < min(peaks) < -10
    assert -5 < max(peaks) < -2.99


@pytest.mark.parametrize("early_s", [0.0, 0.02])
def test_a_room_stays_in_the_target_as_far_as_it_is_early(rng, early_s):
    x = np.zeros((2, 1, 8000), np.float32)
    x[..., 100] = 1
    room = augment.draw_room(rng, 1, RATE)
    end = max(1, int(early_s * RATE))
    (heard,), (target,) = augment.in_rooms(x, [room, room[:, :end]], Disk())
    end += 100
    assert target[:end] == pytest.approx(heard[:end], abs=1e-6)
    assert np.abs(target[end:]).max() < 1e-6
    assert np.abs(heard[end:]).max() > 1e-3


def test_late_echoes_are_noise(example):
    mixture, target = example(reverb_share=1.0, early_s=0.0)
    late = mixture - target
    assert energy(late, 400, 600) > 0.01
    mixture, target = example(reverb_share=1.0)
    assert energy(mixture - target, 400, 600) < 1e-6


def bursts(rng, noise_db):
    """Return bursts of a tone in noise, where they are, and where noise is alone for a while."""
    n = 4 * RATE
    on = (np.arange(n) // (RATE // 4)) % 2 == 1
    noise = 10 ** (noise_db / 20) * rng.standard_normal(n)
    return (
        (tone(1000, n) * on + noise).astype(np.float32),
        on,
        ~(np.convolve(on, np.ones(1025), "same") > 0),
    )


def test_the_floor_of_a_recording_is_lowered_and_speech_is_kept(rng):
    x, on, inside = bursts(rng, -30)
    lowered = lower_floor(x, RATE, 20.0)
    assert lowered.shape == x.shape
    fell_db = 10 * np.log10((x[inside] ** 2).mean() / (lowered[inside] ** 2).mean())
    assert 15 < fell_db <= 20.1
    kept = lowered[on] @ x[on] / (x[on] @ x[on])
    assert 20 * np.log10(kept) == pytest.approx(0, abs=0.1)


def test_the_cache_keeps_a_recording_with_and_without_its_floor(tmp_path, rng):
    x, _, inside = bursts(rng, -30)
    soundfile.write(tmp_path / "a.wav", 0.3 * x, RATE, subtype="FLOAT")
    cache = Cache(tmp_path / "cache", RATE)
    kept = [np.load(cache.mono(tmp_path / "a.wav", lower_floor_db=d)) for d in (0.0, 20.0)]
    before, after = (np.square(one[inside], dtype=float).mean() for one in kept)
    assert after < 0.1 * before
    assert cache.mono(tmp_path / "a.wav") != cache.mono(tmp_path / "a.wav", lower_floor_db=20.0)


def test_a_recipe_lowers_the_floor_of_the_recordings_that_it_names(example):
    speech, noise = PLAIN.recordings
    lowered = example(recordings=(replace(speech, lower_floor_db=20.0), noise))[1]
    assert not np.array_equal(example()[1], lowered)
    assert np.array_equal(example()[1], example(recordings=(speech, noise))[1])


def test_settings_that_cannot_be_are_one_line():
    with pytest.raises(ConfigError, match=r"babble_share = 2, expected 0 to 1"):
        SpeechInNoiseConfig(babble_share=2)
    with pytest.raises(ConfigError, match=r"early_s = -1, expected 0 or more"):
        SpeechInNoiseConfig(early_s=-1)
    with pytest.raises(ConfigError, match=r"lower_floor_db = -3, expected >= 0"):
        Recordings(role="speech", glob="a", lower_floor_db=-3)
