"""What listeners are asked, and what they read: presets of the literature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: ``pairwise`` has references to compare with, ``ab`` has none, ``mushra`` rates several clips.
Kind = Literal["pairwise", "ab", "mushra"]


@dataclass(frozen=True)
class Question:
    """One question about a page."""

    id: str
    text: str
    none: bool = False
    """Whether "no difference" is an answer; pairs only."""


@dataclass(frozen=True)
class Preset:
    """A kind of test, its questions, and the references that listeners can go back to."""

    kind: Kind
    questions: tuple[Question, ...]
    references: tuple[str, ...]


#: Two questions about pairs: a questionnaire about music separated by complex masks.
_PAPER = (
    Question("quality", "Quality: which one has better sound quality?"),
    Question(
        "separation",
        "Separation: which one has better isolation from the other sounds of the mixture?",
    ),
)
#: The scales of Cartwright, Pardo, Mysore, "Crowdsourced Pairwise-Comparison for Source Separation
#: Evaluation", ICASSP 2018, after Emiya et al., "Subjective and Objective Quality Assessment of
#: Audio Source Separation", TASLP 19(7), 2011.
_CARTWRIGHT = (
    Question("overall", "Which one has the better overall quality?"),
    Question("preservation", "Which one preserves the target sound better?"),
    Question("suppression", "Which one suppresses the other sounds better?"),
    Question("artificial_noise", "Which one has less additional artificial noise?"),
    Question("distortion", "Which one distorts the target sound less?"),
)

PRESETS: Mapping[str, Preset] = {
    "paper": Preset("pairwise", _PAPER, ("mixture", "target")),
    "cartwright": Preset("pairwise", _CARTWRIGHT, ("mixture", "target")),
    "ab": Preset("ab", (Question("preference", "Which one do you prefer?"),), ()),
    "mushra": Preset(
        "mushra",
        (Question("quality", "How good is each clip, compared with the reference?"),),
        ("target",),
    ),
}

_PAIRS = (
    "Each page plays one short excerpt in two versions, A and B. Listen to all of it, as often as "
    "you like, and switch between the clips while they play. Then answer the questions. There is "
    "no right or wrong: trust your ears."
)
_REFERENCES = (
    " Mixture is what both versions were made from; Target is how a perfect version would sound."
)
_RATINGS = (
    "Each page plays one short excerpt in several versions. Compare each with the reference and "
    "give it a mark from 0 to 100. One of the clips is the reference itself, and should get 100. "
    "You can mark the clip that is playing."
)


def texts(title: str, preset: Preset) -> dict[str, str]:
    """Return what listeners read, to be edited in ``test.json``; an empty line parts paragraphs."""
    pairs = _PAIRS + _REFERENCES * ("mixture" in preset.references)
    return {
        "title": title,
        "welcome": "Thank you for taking part in this listening test. Please use headphones and "
        "sit in a quiet place.",
        "consent": "Taking part is voluntary, and you may stop at any time by closing the page. "
        "Stored are your answers, when you gave them, and the results of the short checks of "
        "headphones and hearing; no name, no address.",
        "instructions": _RATINGS if preset.kind == "mushra" else pairs,
        "thanks": "That was all. Your answers are stored; you can close this page.",
    }
