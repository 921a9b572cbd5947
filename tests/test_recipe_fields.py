"""Fields of recipes: each takes what it declares, and nothing else."""

import copy
import dataclasses
import datetime
import math
import re
from collections.abc import Mapping
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from unmask import recipe
from unmask.data import DATA, Recordings, Tracks
from unmask.data.recordings import Selection
from unmask.data.voices import Voices
from unmask.errors import ConfigError
from unmask.masks import FAMILIES
from unmask.nets import FRONTS, NETS
from unmask.recipe import Frontend, Head, Loss, Train

#: How a value looks in TOML -> examples
LOOKS = {
    "text": ["", "x", "1"],
    "whole": [-1, 0, 3],
    "fraction": [-0.5, 1.5],
    "truth": [True, False],
    "date": [datetime.date(2024, 1, 1)],
    "infinite": [math.inf, -math.inf, math.nan],
    "endless": [10**400],
    "nothing": [[]],
    "texts": [["x"], ["x", "y"], ["x", "y", "z"]],
    "wholes": [[1], [1, 2, 3]],
    "two wholes": [[1, 2], [2, 1]],
    "fractions": [[0.5], [0.5, 1, 2.5]],
    "two fractions": [[0.5, 1.5], [1, 0.5]],
    "truths": [[True], [True, False]],
    "infinities": [[-math.inf, math.inf], [0.0, math.nan]],
    "lists": [[[]], [[1]], [["x"], ["y"]]],
    "mixture": [[1, "x"], [1.5, {}]],
    "empty tables": [[{}]],
    "tables": [[{"glob": "*", "x": 1}], [{"glob": 3}]],
    "empty table": [{}],
    "table of text": [{"x": "y"}],
    "table of numbers": [{"x": 1, "y": 1.5}],
    "table of truths": [{"x": True}],
    "table of texts": [{"x": ["y", "z"]}],
    "table of wholes": [{"x": [1]}],
}
#: Declared type -> how its values may look; what is in the tables of a list is another matter
LOOKS_OF = {
    str: {"text"},
    int: {"whole"},
    float: {"whole", "fraction"},
    bool: {"truth"},
    tuple[int, ...]: {"nothing", "wholes", "two wholes"},
    tuple[str, ...]: {"nothing", "texts"},
    tuple[float, float]: {"two wholes", "two fractions"},
    tuple[Recordings, ...]: {"nothing", "empty tables", "tables"},
    tuple[Selection, ...]: {"nothing", "empty tables", "tables"},
    tuple[Tracks, ...]: {"nothing", "empty tables", "tables"},
    tuple[Voices, ...]: {"nothing", "empty tables", "tables"},
    Mapping[str, float]: {"empty table", "table of numbers"},
    Mapping[str, str]: {"empty table", "table of text"},
    Mapping[str, tuple[str, ...]]: {"empty table", "table of texts"},
    str | Mapping[str, float]: {"text", "empty table", "table of numbers"},
}

SONGS = {
    "backbone": {"kind": "unet", "width": 0.0625},
    "frontend": {"n_fft": 128, "hop": 64},
    "data": {"kind": "stems", "sources": ["vocals", "drums", "other"]},
}
SPEECH = {
    "frontend": {"n_fft": 64, "hop": 32},
    "backbone": {"kind": "crn", "channels": [4, 6], "hidden": 5},
}
BANDS = {
    "frontend": {"n_fft": 64, "hop": 32},
    "backbone": {"kind": "band_net", "bands": [4], "widths": [8], "hidden": [5]},
}
MUSIC = {
    "frontend": {"n_fft": 64, "hop": 32},
    "backbone": {"kind": "tfc_tdf", "bands": [8], "widths": [4], "channels": [2, 2, 2, 2]},
}
FRAMES = {
    "frontend": {"n_fft": 64, "hop": 32},
    "backbone": {"kind": "tcn", "channels": 4, "hidden": 4, "skip": 4, "blocks": 2, "repeats": 1},
}
CHUNKS = {
    "frontend": {"n_fft": 64, "hop": 32},
    "backbone": {"kind": "dual_path", "channels": 4, "hidden": 4, "blocks": 1},
}
LEARNED = SPEECH | {
    "frontend": {"kind": "learned", "length": 16, "hop": 8, "filters": 64},
    "backbone": {"kind": "crn", "channels": [4], "patch": 1, "hidden": 5},
    "head": {"mask": "irm1"},
}
ANALYTIC = LEARNED | {"frontend": LEARNED["frontend"] | {"kind": "analytic"}}
FRONT_BASES = {"stft": SPEECH, "learned": LEARNED, "analytic": ANALYTIC}
NET_BASES = {
    "band_net": BANDS,
    "crn": SPEECH,
    "dual_path": CHUNKS,
    "tcn": FRAMES,
    "tfc_tdf": MUSIC,
    "unet": SONGS,
}
TALK = FRAMES | {"head": {"mask": "softmax"}, "data": {"kind": "talkers"}}
MIXED = TALK | {"data": {"kind": "talker_mixtures"}}
DATA_BASES = {
    "speech_in_noise": SPEECH,
    "stems": SONGS,
    "talker_mixtures": MIXED,
    "talkers": TALK,
}


def settings(kind, tables, *place, besides=()):
    """Yield a recipe, a place in it, what it is called and its declared type, for every field."""
    hints = get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if f.name not in besides:
            key = ".".join(map(str, (*place, f.name))).replace(".0", "[0]")
            yield pytest.param(tables, (*place, f.name), key, hints[f.name], id=key)


def every_field():
    for section in (Frontend, Head, Loss, Train):
        name = section.__name__.lower()
        yield from settings(section, SPEECH, name, besides={"mask", "options"})
    for kind, (config, _) in DATA.items():
        yield from settings(config, DATA_BASES[kind], "data")
    noise, song = {"glob": "*", "role": "noise"}, {"glob": "*"}
    yield from settings(Recordings, SPEECH | {"data": {"recordings": [noise]}}, *RECORDINGS)
    yield from settings(Tracks, SONGS | {"data": SONGS["data"] | {"tracks": [song]}}, *TRACKS)
    voice = {"data": TALK["data"] | {"voices": [song]}}
    yield from settings(Voices, TALK | voice, "data", "voices", 0)
    for kind, (config, _) in NETS.items():
        yield from settings(config, NET_BASES[kind], "backbone", besides={"seen"})
    for kind, config in FRONTS.items():
        yield from settings(config, FRONT_BASES[kind], "frontend")
    for name, family in FAMILIES.items():
        mask = {"head": {"mask": {"family": name, "options": {}}}}
        place = ("head", "mask", "options")
        yield from settings(type(family), SONGS | mask, *place, besides={"name", "paper"})


RECORDINGS = ("data", "recordings", 0)
TRACKS = ("data", "tracks", 0)


def put(tables, place, value):
    """Return a copy of `tables` with `value` there."""
    tables = copy.deepcopy(tables)
    inner = tables
    for step in place[:-1]:
        inner = inner[step] if isinstance(inner, list) else inner.setdefault(step, {})
    inner[place[-1]] = value
    return tables


def refusal(tables):
    """Return why a recipe is refused, None if it is not."""
    try:
        assert isinstance(recipe.from_dict(tables), recipe.Recipe)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("tables", "place", "key", "hint"), list(every_field()))
def test_a_field_takes_what_it_declares_and_nothing_else(tables, place, key, hint):
    for look, values in LOOKS.items():
        for value in values:
            said = refusal(put(tables, place, value))
            wrong_type = re.match(
                rf"recipe: {re.escape(key)}(\[\d\]|\.x)* is .*, expected ", said or ""
            )
            assert bool(wrong_type) == (look not in LOOKS_OF[hint]), (value, said)
            assert said is None or said.startswith(f"recipe: {place[0]}"), (value, said)


SCALARS = (
    st.integers(-3, 70)
    | st.floats(-99, 99)
    | st.sampled_from([math.inf, math.nan, 5e-324, 1e300])
    | st.booleans()
    | st.sampled_from(["", "x", "sdr", "hann", "stft", "unet", "stems", "vocals", "softmax", "\0"])
    | st.dates()
)
NAMES = sorted({key.rpartition(".")[2] for *_, key, _ in (p.values for p in every_field())})
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NAMES, "kind", "mask", "family", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from([p.values for p in every_field()]), st.integers(1, 5), VALUES)
def test_anything_anywhere_is_a_recipe_or_is_refused(case, depth, value):
    tables, place, _, _ = case
    said = refusal(put(tables, place[:depth], value))
    assert said is None or (said.startswith(f"recipe: {place[0]}") and "\n" not in said)
