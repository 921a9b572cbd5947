"""Files are paired by name, in every layout that people have; what does not fit is said."""

import unicodedata

import numpy as np
import pytest

from unmask import audio
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError
from unmask.evaluate import Pairing, Track, pair
from unmask.evaluate.pairing import check_agree

MUSDB = ("vocals", "drums", "bass", "other")


def put(root, *names, rate=8000, n_samples=80, n_channels=1):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, np.full((n_channels, n_samples), 0.1), rate)
    return root


def song(root, track, stems=MUSDB, ext="wav"):
    return put(root, *(f"{track}/{stem}.{ext}" for stem in stems))


def below(root, stems):
    return {name: place.path.relative_to(root).as_posix() for name, (place,) in stems.items()}


@pytest.fixture
def roots(tmp_path):
    return tmp_path / "separated" / "mine", tmp_path / "targets"


def test_tracks_of_stems_are_paired_by_name_whatever_the_order_and_format(roots):
    ours, theirs = roots
    for name in ("b song", "A song"):
        song(ours, name, ("Vocals", "drum"), "flac")
        song(theirs, name, ("mixture", "drums", "vocals"))
    tracks, skipped, folded = pair(ours, theirs)
    assert (skipped, folded) == ([], [])
    assert [track.name for track in tracks] == ["A song", "b song"]
    assert below(ours, tracks[0].estimates) == {
        "drums": "A song/drum.flac",
        "vocals": "A song/Vocals.flac",
    }
    assert below(theirs, tracks[0].targets) == {
        "drums": "A song/drums.wav",
        "vocals": "A song/vocals.wav",
    }


def test_names_that_sort_differently_on_the_two_sides_are_not_paired_by_position(roots):
    ours, theirs = roots
    song(ours, "x", ("voice", "drums"))  # sorts drums, voice
    song(theirs, "x", ("vocals", "percussion"))  # sorts percussion, vocals
    (track,) = pair(ours, theirs).tracks
    assert below(ours, track.estimates) == {"drums": "x/drums.wav", "vocals": "x/voice.wav"}
    assert below(theirs, track.targets) == {"drums": "x/percussion.wav", "vocals": "x/vocals.wav"}


def test_two_folders_of_stems_are_one_track(roots):
    ours, theirs = (put(root, *(f"{stem}.wav" for stem in MUSDB)) for root in roots)
    (track,) = pair(ours, theirs).tracks
    assert track.name == "targets"
    assert list(track.estimates) == list(track.targets) == sorted(MUSDB)


def test_one_track_of_a_collection_goes_by_its_folder(roots):
    ours, theirs = put(roots[0] / "b", "vocals.wav", "other.wav"), song(roots[1], "b")
    (track,) = pair(ours, theirs, how=Pairing(stems=("vocals",))).tracks
    assert (track.name, list(track.estimates)) == ("b", ["vocals"])
    assert list(track.targets) == sorted(MUSDB), "the others still interfere"


def test_what_separate_writes_is_found_from_any_height(tmp_path):
    song(tmp_path / "separated", "mine/song/mixture")
    song(tmp_path / "musdb", "test/song")
    for ours in ("separated", "separated/mine"):
        for theirs in ("musdb", "musdb/test"):
            tracks = pair(tmp_path / ours, tmp_path / theirs).tracks
            assert [track.name for track in tracks] == ["song"]


def test_folders_of_one_name_go_by_their_path(roots):
    for root in roots:
        song(root, "one/intro")
        song(root, "two/intro")
    assert [track.name for track in pair(*roots).tracks] == ["one/intro", "two/intro"]


def test_flat_folders_of_speech_are_a_track_a_file(roots):
    for root in roots:
        put(root, "p232_001.wav", "p232_002.wav")
    tracks = pair(*roots, how=Pairing(stem="clean")).tracks
    assert [(track.name, list(track.estimates)) for track in tracks] == [
        ("p232_001", ["speech"]),
        ("p232_002", ["speech"]),
    ]


def test_denoised_folders_are_paired_with_flat_targets(roots):
    put(roots[0], "a/speech.wav", "b/speech.wav")
    put(roots[1], "a.flac", "b.flac")
    (first, _) = pair(*roots).tracks
    assert below(roots[0], first.estimates) == {"speech": "a/speech.wav"}
    assert below(roots[1], first.targets) == {"speech": "a.flac"}


def test_what_flat_files_are_can_be_said(roots):
    for root in roots:
        put(root, "noise.wav", "speech.wav")
    assert len(pair(*roots).tracks) == 1
    tracks = pair(*roots, how=Pairing(files="tracks", stem="s")).tracks
    assert [(track.name, list(track.targets)) for track in tracks] == [
        ("noise", ["s"]),
        ("speech", ["s"]),
    ]
    for root in roots:
        put(root, "a.wav")
    (track,) = pair(*roots, how=Pairing(files="stems")).tracks
    assert list(track.targets) == ["a", "noise", "speech"]


def test_missing_and_extra_tracks_are_listed(roots):
    for root, names in zip(roots, ("abd", "bce"), strict=True):
        for name in names:
            song(root, name)
    with pytest.raises(
        ConfigError, match=r"^tracks must be .*mine lacks c, e and .*targets lacks a, d;"
    ):
        pair(*roots)
    tracks, skipped, _ = pair(*roots, how=Pairing(allow_missing=True))
    assert [track.name for track in tracks] == ["b"]
    assert skipped == ["a", "c", "d", "e"]


def test_no_common_track_is_refused_even_if_some_may_be_missing(roots):
    song(roots[0], "a")
    song(roots[1], "b")
    with pytest.raises(ConfigError, match=r"lacks b and .*lacks a"):
        pair(*roots, how=Pairing(allow_missing=True))


def test_long_lists_are_cut(roots):
    put(roots[0], "a.wav")
    put(roots[1], "a.wav", *(f"b{k:02}.wav" for k in range(25)))
    with pytest.raises(ConfigError, match="b18, b19 and 5 more;"):
        pair(*roots)


def test_missing_and_extra_stems_are_listed(roots):
    song(roots[0], "a", ("vocals", "guitar", "drums"))
    song(roots[1], "a", ("vocals", "drums", "bass"))
    song(roots[0], "b")
    song(roots[1], "b")
    with pytest.raises(ConfigError, match="are a: estimate of bass, a: target of guitar; add them"):
        pair(*roots)
    (track, _) = pair(*roots, how=Pairing(stems=("vocals", "drum"))).tracks
    assert list(track.estimates) == ["drums", "vocals"]
    with pytest.raises(ConfigError, match="missing are a: estimate of bass; add"):
        pair(*roots, how=Pairing(stems=("bass",)))


def test_impossible_folders_are_refused(roots):
    ours, theirs = roots
    song(theirs, "a")
    with pytest.raises(AudioFileError, match="mine: not a folder; "):
        pair(ours, theirs)
    song(ours, "a")
    put(ours, "b.wav")
    with pytest.raises(ConfigError, match=r"mine: holds b\.wav and folders with sound"):
        pair(ours, theirs)
    with pytest.raises(ConfigError, match=r"flat: x\.flac and x\.wav have one name; keep one"):
        pair(put(ours / "flat", "x.wav", "x.flac"), theirs)


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"rate": 16000}, SampleRateError, "sample rate is 16000 Hz, .* has 8000 Hz; resample one"),
        ({"n_samples": 79}, ShapeError, "1 channels of 79 samples, .* has 1 of 80;"),
        ({"n_channels": 2}, ShapeError, "2 channels of 80 samples, .* has 1 of 80;"),
    ],
)
def test_files_that_do_not_agree_are_named(tmp_path, wrong, error, text):
    put(tmp_path, "t/a.wav", "t/b.wav", "e/a.wav")
    put(tmp_path, "e/b.wav", **wrong)
    sides = (
        {name: (audio.Place(tmp_path / side / f"{name}.wav"),) for name in "ab"} for side in "et"
    )
    with pytest.raises(error, match=f"^{tmp_path}/e/b.wav: {text}"):
        check_agree(Track("x", *sides))


def test_names_that_are_one_text_in_two_forms_are_paired(roots):
    forms = [unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    for root, form in zip(roots, forms, strict=True):
        put(root / form, f"{form}.wav", "bass.wav")
        put(root / "other", f"{form}.wav", "bass.wav")
    tracks = pair(*roots).tracks
    assert [track.name for track in tracks] == [forms[0], "other"]
    assert set(tracks[0].estimates) == set(tracks[0].targets) == {"bass", forms[0].lower()}


LIBRARY = [f"{speaker}/{speaker}_{k}.wav" for speaker in ("p1", "p2") for k in range(3)]


@pytest.mark.parametrize("how", [Pairing(), Pairing(files="tracks")])
def test_files_of_speakers_are_a_track_each(roots, how):
    for root in roots:
        put(root, *LIBRARY)
    tracks = pair(*roots, how=how).tracks
    assert [below(roots[0], track.estimates)["speech"] for track in tracks] == LIBRARY
    assert [below(roots[1], track.targets)["speech"] for track in tracks] == LIBRARY


def test_files_of_speakers_that_have_one_name_go_by_their_path_if_told_to_be_tracks(roots):
    for root in roots:
        put(root, "p1/001.wav", "p2/001.wav", "003.wav")
    names = [track.name for track in pair(*roots, how=Pairing(files="tracks")).tracks]
    assert names == ["003", "p1/001", "p2/001"]


def test_stems_of_any_name_that_come_again_in_every_folder_are_stems(roots):
    for root in roots:
        song(root, "a", ("left hand", "right hand"))
        song(root, "b", ("left hand", "right hand"))
    assert [track.name for track in pair(*roots).tracks] == ["a", "b"]


def test_stems_that_are_folded_are_stems_in_folders_too(roots):
    for root in roots:
        put(root, "a/left hand.wav", "a/right hand.wav", "b/pedals.wav", "b/keys.wav")
    folds = {"left hand": "right hand", "pedals": "keys"}
    tracks = pair(*roots, how=Pairing(fold=folds)).tracks
    assert [track.name for track in tracks] == ["a", "b"]
    assert [len(row) for track in tracks for row in track.targets.values()] == [2, 2]
