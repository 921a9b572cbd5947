"""``unmask listen analyse``: files of answers in, tables, sentences and figures out."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from unmask.cli import main
from unmask.errors import ConfigError, FileError
from unmask.listen.analysis import Settings, analyse, markdown, read, sentences, tables
from unmask.listen.columns import JUDGEMENTS, LISTENERS
from unmask.plots import Interval, Panel, interval_plot

PLAIN = "listener,item,system_a,system_b,answer\n"


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def pairs(odds=1.0, *, systems=("ours", "theirs"), listeners=8, items=6, repeats=1, seed=0):
    """Rows of judgements.csv: earlier systems are stronger, by `odds` from one to the next."""
    rng = np.random.default_rng(seed)
    rows = []
    for who in range(listeners):
        pages = [
            (item, a, b)
            for item in range(items)
            for a in range(len(systems))
            for b in range(a + 1, len(systems))
        ]
        for position, (item, a, b) in enumerate([*pages, *pages[:repeats]], start=1):
            won = rng.random() < 1 / (1 + np.exp(-odds * (b - a)))
            sides = (a, b) if rng.random() < 0.5 else (b, a)
            winner = a if won else b
            rows.append(
                {
                    "test": "t",
                    "kind": "pairwise",
                    "listener": f"L{who:03d}",
                    "position": position,
                    "page": f"p{item}",
                    "item": f"i{item}",
                    "repeat": int(position > len(pages)),
                    "track": f"song{item // 2}",
                    "stem": ("bass", "drums")[item % 2],
                    "question": "quality",
                    "system_a": systems[sides[0]],
                    "system_b": systems[sides[1]],
                    "answer": "ab"[sides.index(winner)],
                    "preferred": systems[winner],
                }
            )
    return rows


@pytest.fixture
def judgements(tmp_path):
    return write(tmp_path / "judgements.csv", JUDGEMENTS, pairs())


def run(*arguments, code=0):
    found = CliRunner().invoke(main, ["listen", "analyse", *map(str, arguments)])
    assert found.exit_code == code, found.output
    return found


# reading


def test_what_is_exported_is_read(judgements):
    found = read([judgements])
    assert len(found.choices) == 56
    first = found.choices[0]
    assert (first.listener, first.item, first.stem, first.repeat) == ("L000", "i0", "bass", False)
    assert {first.a, first.b} == {"ours", "theirs"}
    assert sum(row.repeat for row in found.choices) == 8


def test_five_columns_are_enough(tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text("\ufeff" + PLAIN + "me,song,x,y,a\n\nme, tune ,x,y,none\n", encoding="utf-8")
    first, second = read([path]).choices
    assert (first.preferred, second.preferred, second.item) == ("x", "", "tune")


def test_listeners_and_items_of_different_tests_are_different(tmp_path):
    one = write(tmp_path / "1.csv", JUDGEMENTS, pairs())
    two = write(tmp_path / "2.csv", JUDGEMENTS, [row | {"test": "u"} for row in pairs()])
    found = read([one, two])
    assert len(found.listeners) == 16
    assert len({row.item for row in found.choices}) == 12


def test_ratings_of_webmushra_are_read_with_their_conditions(tmp_path):
    path = tmp_path / "mushra.csv"
    path.write_text(
        '"session_test_id","email","session_uuid","trial_id","rating_stimulus","rating_score",'
        '"rating_time","rating_comment"\n'
        'mine,a@b,u1,trial1,reference,100,5210,""\nmine,a@b,u1,trial1,C1,70,5210,"a, b"\n'
        "mine,a@b,u1,trial1,anchor35,12,5210,\n"
    )
    found = read([path]).ratings
    assert [(row.system, row.condition, row.rating) for row in found] == [
        ("reference", "reference", 100),
        ("C1", "system", 70),
        ("anchor35", "anchor", 12),
    ]
    assert {row.listener for row in found} == {"u1"}


def test_pairs_of_webmushra_are_read_and_participants_are_listeners(tmp_path):
    path = tmp_path / "paired_comparison.csv"
    path.write_text(
        "session_test_id,name,trial_id,choice_reference,choice_non_reference,choice_answer,"
        "choice_time,choice_comment\n"
        "mine,Ann,t1,new,old,correct,9,\nmine,Ann,t2,new,old,incorrect,9,\n"
        "mine,Ben,t1,new,old,undecided,9,\nmine,Ben,t2,new,old,unknown,9,\n"
    )
    found = read([path]).choices
    assert [(row.listener, row.preferred) for row in found] == [
        ("Ann", "new"),
        ("Ann", "old"),
        ("Ben", ""),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns ; expected those of judgements.csv|no answer in it"),
        (PLAIN, "no answer in it, expected one or more rows"),
        ("a,b\n1,2\n", "columns a, b; expected those of judgements.csv"),
        (PLAIN + "me,i,x,y\n", "line 2: 4 cells, should be 5 as in the header"),
        (PLAIN + ",i,x,y,a\n", "line 2: listener is empty, should name one"),
        (PLAIN + "me,i,x,x,a\n", "line 2: system_a and system_b are both 'x', should differ"),
        (PLAIN + "me,i,x,y,c\n", "line 2: answer is 'c', should be one of a, b, none; correct it"),
        (PLAIN + "me,i,x,y,a\nme,i,y,x,b\n", "line 3: listener me answers about i again (before: "),
        ("item,item\n1,2\n", "column item twice, expected once"),
        ("listener,item,system,rating\nme,i,x,101\n", "rating is '101', should be a number from 0"),
        ("listener,item,system,rating\nme,i,x,nan\n", "rating is 'nan', should be a number from 0"),
        ("listener,item,system,rating,condition\nme,i,x,5,y\n", "condition is 'y', should be one"),
        (
            "listener,item,system_a,system_b,answer,preferred\nme,i,x,y,a,y\n",
            "line 2: preferred is 'y', but answer says 'x'; correct one",
        ),
        ("trial_id,rating_stimulus,rating_score\nt,C1,5\n", "nothing says who answered, expected"),
        (PLAIN + 'me,i,x,y,"a\n', "is no CSV"),
        ("\xff", "is not UTF-8, should be"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "wrong.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match="|".join(map(_literal, said.split("|")))) as error:
        analyse(read([path]))
    assert str(path) in str(error.value)
    output = run(path, code=1).output
    assert output.startswith("unmask: error: ")
    assert output.count("\n") == 1


def _literal(text):
    import re

    return re.escape(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot be read: No such file or directory; unmask listen"):
        read([tmp_path / "none.csv"])


# whose answers count


def test_listeners_who_lack_what_is_required_are_left_out(tmp_path, judgements):
    people = [
        {"listener": f"L{k:03d}", "headphones": "failed" if k < 2 else "passed", "finished_at": "x"}
        for k in range(8)
    ]
    path = write(tmp_path / "listeners.csv", LISTENERS, people)
    found = analyse(read([judgements]), Settings(listeners=path, require=("headphones",)))
    assert [row.listener for row in found.excluded] == ["L000", "L001"]
    assert found.n_listeners == found.pairs[0].n_listeners == 6
    short = write(tmp_path / "short.csv", LISTENERS, people[:7])
    with pytest.raises(FileError, match=r"lacks L007, should have all who answered"):
        analyse(read([judgements]), Settings(listeners=short, require=("finished",)))


def test_settings_that_cannot_be_are_refused(tmp_path, judgements):
    answers = read([judgements])
    with pytest.raises(ConfigError, match=r"required: hearing, but no listeners\.csv says who"):
        Settings(require=("hearing",))
    with pytest.raises(ConfigError, match="n_resamples: 5, should be 99 or more"):
        Settings(n_resamples=5)
    with pytest.raises(ConfigError, match="listener X: no answer, expected some of L000, L001"):
        analyse(answers, Settings(exclude=("X",)))
    with pytest.raises(ConfigError, match="all 8 are left out"):
        analyse(answers, Settings(exclude=tuple(answers.listeners)))
    plain = tmp_path / "plain.csv"
    plain.write_text(PLAIN + "me,i,x,y,a\n")
    with pytest.raises(ConfigError, match="by: stem, but the answers have no column stem; add it"):
        analyse(read([plain]), Settings(by="stem"))


# what is said


def test_what_is_not_decided_is_said_with_what_it_takes():
    """61 of 105, one answer of each of 105 listeners about one item: nothing is alike."""
    rows = pairs(0, listeners=105, items=1, repeats=0)
    for k, row in enumerate(rows):
        row["preferred"] = "ours" if k < 61 else "theirs"
        row["answer"] = "ab"[row["system_a"] != row["preferred"]]
    text = " ".join(_said(rows))
    assert "quality: cannot decide between ours and theirs: 58 % of 105 prefer ours" in text
    assert "binomial p = 0.12)" in text
    assert "about 299 such answers are needed (80 % power), 105 show 64 % or more" in text
    assert "warning: 1 item cannot speak for others" in text


def _said(rows, **settings):
    from unmask.listen.analysis import Choice, Judgements

    names = ("listener", "item", "question", "preferred", "stem")
    choices = tuple(
        Choice(
            a=row["system_a"],
            b=row["system_b"],
            repeat=bool(row["repeat"]),
            **{name: row[name] for name in names},
        )
        for row in rows
    )
    return sentences(analyse(Judgements(choices, ()), Settings(**settings)))


def test_what_is_decided_is_said_so():
    assert any("ours is preferred to theirs by" in line for line in _said(pairs(2.0)))


def test_a_side_that_is_always_taken_is_noticed():
    rows = [row | {"preferred": row["system_a"], "answer": "a"} for row in pairs(0)]
    said = "warning: quality: 100 % of preferences are for A, whatever it was (p <0.001)"
    assert said in _said(rows)


def test_stems_are_analysed_by_themselves_too(judgements):
    found = analyse(read([judgements]), Settings(by="stem"))
    assert [(row.group, row.binomial.n) for row in found.pairs] == [
        ("", 48),
        ("bass", 24),
        ("drums", 24),
    ]


def test_four_systems_have_strengths_in_their_order_and_corrected_p():
    rows = pairs(1.0, systems=("a", "b", "c", "d"), listeners=10, items=4)
    path_free = analyse(_judgements(rows))
    assert [row.strength.system for row in path_free.strengths] == ["a", "b", "c", "d"]
    assert len(path_free.pairs) == 6
    assert all(row.p_holm >= row.p for row in path_free.pairs)


def _judgements(rows):
    from unmask.listen.analysis import Choice, Judgements

    return Judgements(
        tuple(
            Choice(
                row["listener"],
                row["item"],
                row["question"],
                row["system_a"],
                row["system_b"],
                row["preferred"],
                repeat=bool(row["repeat"]),
            )
            for row in rows
        ),
        (),
    )


# the command


def test_the_command_writes_tables_a_page_and_a_figure(tmp_path, judgements):
    pytest.importorskip("matplotlib")
    out, figure, document = tmp_path / "out", tmp_path / "fig.svg", tmp_path / "all.json"
    found = run(judgements, "-o", out, "--plot", figure, "--json", document, "--resamples", 199)
    assert "preferred" in found.output
    assert "8 listeners, 56 answers" in found.output
    with (out / "preferences.csv").open() as file:
        (row,) = csv.DictReader(file)
    said = json.loads(document.read_text())
    assert json.loads((out / "analysis.json").read_text()) == said
    assert float(row["share"]) == said["preferences"][0]["share"]
    assert {path.name for path in out.iterdir()} == {
        *("preferences.csv", "reliability.csv", "analysis.md", "analysis.json"),
    }
    assert "| quality | ours | theirs |" in (out / "analysis.md").read_text()
    assert figure.read_text().startswith("<?xml")


def test_json_alone_is_all_of_standard_output(judgements):
    found = run(judgements, "--json", "-", "--resamples", 199)
    assert json.loads(found.stdout)["n_listeners"] == 8


def test_the_same_seed_gives_the_same_numbers_and_another_other_ones(judgements):
    answers = read([judgements])
    one, same, other = (
        analyse(answers, Settings(n_resamples=199, seed=seed)).pairs[0].clusters.high
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_names_of_systems_cannot_break_a_table_of_markdown(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(PLAIN + "me,i,<b>x|y,z,a\nyou,j,<b>x|y,z,b\n")
    found = analyse(read([path]))
    page = markdown(found, sentences(found))
    line = next(line for line in page.splitlines() if line.startswith("| &lt;b>x\\|y"))
    assert line.count(" | ") == len(tables(found)["preferences"].shown[0]) - 1


def test_an_interval_is_drawn_where_it_is():
    pytest.importorskip("matplotlib")
    rows = [Interval("one", 60, 40, 80, False), Interval("two", 90, 80, 95)]
    ax = interval_plot(Panel("share (%)", rows, 50, (0, 100)))
    spans = [tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert (40, 80) in spans
    assert (80, 95) in spans
    hollow, full = (line for line in ax.lines if len(line.get_xdata()) == 1)
    assert (hollow.get_markerfacecolor(), full.get_markerfacecolor()) == ("white", "C0")
    with pytest.raises(ConfigError, match="share: no number to draw, expected one or more"):
        interval_plot(Panel("share", []))
