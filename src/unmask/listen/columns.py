"""The columns of what a listening test gives: docs/listening.md says what they mean."""

#: Of ``judgements.csv``: one row an answer.
JUDGEMENTS = (
    "test",
    "kind",
    "listener",
    "session",
    "position",
    "page",
    "repeat",
    "item",
    "track",
    "stem",
    "question",
    "system_a",
    "system_b",
    "answer",
    "preferred",
    "system",
    "condition",
    "label",
    "rating",
    "rt_s",
    "submitted_at",
)

#: Of ``listeners.csv``: one row a listener.
LISTENERS = (
    "test",
    "listener",
    "session",
    "started_at",
    "finished_at",
    "n_pages",
    "n_answered",
    "headphones",
    "headphones_correct",
    "hearing",
    "tones_played",
    "tones_heard",
)

#: What ``answer`` may be.
ANSWERS = ("a", "b", "none")
#: What ``condition`` may be.
CONDITIONS = ("system", "reference", "anchor")
