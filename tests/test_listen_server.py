"""Who may do what over HTTP: nobody is let in, nothing is told, nothing is spoofed."""

import csv
import io
import json
import random
import re
import time
from http.client import HTTPConnection

import pytest
from click.testing import CliRunner

from listening import Listener, made, served, write_recordings
from unmask.cli import main

pytest.importorskip("starlette")

from unmask.listen import design
from unmask.listen.columns import JUDGEMENTS, LISTENERS
from unmask.listen.guard import Limits
from unmask.listen.serving import Address

JSON = {"Content_Type": "application/json"}
SYSTEMS = ("ourselves", "theirselves")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder, systems=SYSTEMS)
    return folder


@pytest.fixture(scope="module")
def pairs(recordings, tmp_path_factory):
    """The port of a test of pairs that all tests of this file share, and its folder."""
    folder = made(recordings, tmp_path_factory.mktemp("pairs") / "test", systems=SYSTEMS)
    with served(folder) as port:
        yield port, folder


@pytest.fixture
def listener(pairs, request):
    """A new listener before the first page."""
    new = Listener(pairs[0], begin=f"{abs(hash(request.node.nodeid)):032x}")
    new.prepare()
    return new


@pytest.fixture
def test_of(recordings, tmp_path):
    """Make a test and serve it: a context manager."""

    def serve(*, server=None, **settings):
        folder = made(recordings, tmp_path / "test", systems=SYSTEMS, **settings)
        return served(folder, **(server or {}))

    return serve


def names_systems(text):
    return any(name in text for name in SYSTEMS) or "song" in text


def organiser(folder):
    return {"Authorization": f"Bearer {design.read(folder)[1].organiser}"}


# Nothing that a listener gets tells which system it is.


def test_no_response_and_no_address_names_a_system_or_a_file_of_the_test(pairs, listener):
    _, folder = pairs
    seen = []
    for path in ("/", "/api/state", "/api/pages/0", "/api/pages/1"):
        _, headers, content = listener.ask("GET", path)
        seen += [path, str(headers), content.decode()]
    page = listener.get("/api/pages/1")
    seen += [clip["name"] for clip in page["clips"]]
    for clip in page["clips"]:
        _, headers, content = listener.ask("GET", f"/api/pages/1/clips/{clip['name']}")
        assert content[:4] == b"fLaC"
        assert not names_systems(content[:4096].decode("latin-1"))
        seen.append(str(headers))
    assert not names_systems("".join(seen))
    stored = [path.stem for path in (folder / "audio").iterdir()]
    assert not any(name in "".join(seen) for name in stored)


def test_two_listeners_know_the_same_clips_by_other_names(pairs):
    names = []
    for k in range(2):
        listener = Listener(pairs[0], begin=f"{'names'}{k:027d}")
        listener.prepare()
        names += [clip["name"] for position in (0, 1) for clip in _clips(listener, position)]
    assert len(set(names)) == len(names) == 16


def _clips(listener, position):
    return listener.get(f"/api/pages/{position}")["clips"]


@pytest.mark.parametrize(
    "path",
    [
        *("/secret.json", "/test.json", "/answers.sqlite", "/audio/", "/static/../secret.json"),
        *("/static/%2e%2e/secret.json", "/static/..%2fsecret.json", "/static/__init__.py"),
        *("/static/main.py", "/api/pages/1/clips/../../../secret.json", "/static/"),
    ],
)
def test_no_file_is_served_but_the_page_and_its_clips(path, listener):
    status, _, content = listener.ask("GET", path)
    assert status == 404
    assert b"organiser" not in content


def test_the_page_has_no_script_or_style_within_and_takes_none(pairs):
    status, headers, content = Listener(pairs[0]).ask("GET", "/")
    page = content.decode()
    assert status == 200
    assert re.findall(r"<script(.*?)>(.*?)</script>", page) == [
        (' type="module" src="static/main.js"', "")
    ]
    assert not re.search(r"<style|\son\w+=|style=|javascript:|https?://", page)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/state", "/none", "/api/pages/1"])
def test_every_answer_has_the_headers_that_protect_it(path, pairs):
    _, headers, _ = Listener(pairs[0]).ask("GET", path)
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }.items():
        assert headers[name] == value
    assert "Server" not in headers


# A listener is who has its cookie.


def test_the_cookie_is_for_the_server_alone(pairs, test_of):
    _, headers, _ = Listener(pairs[0], "c" * 32).ask(
        "POST", "/api/session", {"consent": True, "begin": "c" * 32}
    )
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(headers["Set-Cookie"].split("; "))
    with test_of(server={"origin": "https://listen.example.org"}) as port:
        _, headers, _ = Listener(port).ask(
            "POST", "/api/session", {"consent": True, "begin": "0" * 32}
        )
        assert headers["Set-Cookie"].startswith("__Host-")
        assert "Secure" in headers["Set-Cookie"]
        assert headers["Strict-Transport-Security"]


def test_asked_twice_a_browser_gets_one_session(pairs):
    first, second = (Listener(pairs[0], begin="twice" * 7) for _ in range(2))
    assert first.begin() == second.begin()
    assert first.cookie == second.cookie
    other = Listener(pairs[0], begin="other" * 7)
    other.begin()
    assert other.cookie != first.cookie


@pytest.mark.parametrize("cookie", [None, "unmask_x=1", "{name}=forged", "{name}=", "{name}"])
def test_without_a_session_nothing_can_be_read_or_answered(cookie, listener):
    name = listener.cookie.partition("=")[0]
    listener.cookie = cookie and cookie.format(name=name)
    for method, path, body in (
        ("GET", "/api/pages/1", None),
        ("GET", "/api/pages/1/clips/00", None),
        ("POST", "/api/notes", {"step": "volume"}),
        ("POST", "/api/pages/1/answer", {"key": "0" * 32, "answers": {}, "rt_s": 1}),
    ):
        status, said = listener.refused(method, path, body)
        assert (status, said) == (401, "no session; begin at the first page")
    assert listener.get("/api/state")["stage"] == "consent"


def test_a_listener_neither_reads_nor_changes_what_another_said(pairs):
    one, other = (Listener(pairs[0], begin=f"{k}" * 32) for k in ("x", "y"))
    one.prepare()
    other.prepare()
    mine = one.hear(1)["clips"]
    status, _ = one.submit(1)
    assert status == 201
    theirs = other.get("/api/pages/1")["clips"]
    assert not {clip["name"] for clip in mine} & {clip["name"] for clip in theirs}
    for clip in mine:
        assert other.refused("GET", f"/api/pages/1/clips/{clip['name']}")[0] == 404
    assert other.get("/api/state")["n_answered"] == 0
    assert one.get("/api/state")["n_answered"] == 1


def test_another_listener_begins_in_the_same_browser_once_one_is_done(test_of, tmp_path):
    with test_of(items=1) as port:
        first = Listener(port)
        first.prepare()
        assert first.refused("POST", "/api/leave", {})[0] == 409
        first.answer(1)
        assert first.ask("POST", "/api/leave", {})[0] == 200
        assert first.cookie.endswith('""')
        second = Listener(port, begin="second" * 6)
        second.prepare()
        second.answer(1)
        _, _, content = second.ask(
            "GET", "/api/export/listeners.csv", **organiser(tmp_path / "test")
        )
    rows = csv.DictReader(io.StringIO(content.decode()))
    assert [(row["listener"], row["n_answered"]) for row in rows] == [("L001", "1"), ("L002", "1")]


# Answers that are none.


def test_a_second_answer_to_a_page_does_not_change_the_first(pairs, listener):
    listener.answer(1, "a")
    status, said = listener.submit(1, "b", key="f" * 32)
    assert status == 409
    assert "the first answer stays" in said["error"]
    assert listener.submit(1, "a") == (200, {"stored": True, "again": True})


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"answers": {}}, 400, "one to each question"),
        ({"answers": {"quality": "a"}}, 400, "one to each question"),
        ({"answers": {"quality": "a", "separation": "a", "x": "a"}}, 400, "one to each question"),
        ({"answers": {"quality": "c", "separation": "a"}}, 400, "none of the answers offered"),
        ({"answers": {"quality": "none", "separation": "a"}}, 400, "none of the answers offered"),
        ({"answers": {"quality": ["a"], "separation": "a"}}, 400, "none of the answers offered"),
        ({"answers": ["a", "a"]}, 400, "one to each question"),
        ({"answers": None}, 400, "one to each question"),
        ({"rt_s": -1}, 400, "rt_s"),
        ({"rt_s": 1e9}, 400, "rt_s"),
        ({"rt_s": 10**400}, 400, "rt_s"),
        ({"rt_s": "1"}, 400, "rt_s"),
        ({"rt_s": True}, 400, "rt_s"),
        ({"rt_s": float("nan")}, 400, "rt_s"),
        ({"key": ""}, 400, "key"),
        ({"key": 5}, 400, "key"),
        ({"key": "x" * 65}, 400, "key"),
        ({"key": "'; drop table answers; --"}, 400, "key"),
    ],
)
def test_answers_out_of_range_are_refused(changes, status, said, listener):
    listener.hear(1)
    refused, answer = listener.submit(1, **changes)
    assert refused == status
    assert said in answer["error"]
    assert listener.get("/api/state")["n_answered"] == 0


def test_pages_that_are_not_ones_turn_are_refused(listener):
    listener.hear(1)
    assert listener.refused("GET", "/api/pages/2") == (
        409,
        "page 2 is not the one to answer now",
    )
    assert listener.submit(2)[0] == 409
    assert listener.submit(0)[0] == 404
    assert listener.submit(99)[0] == 404
    for position in ("-1", "9e9", "9" * 5000, "%D9%A1", "1%00"):
        assert listener.refused("POST", f"/api/pages/{position}/answer", {})[0] == 404
        assert listener.refused("GET", f"/api/pages/{position}")[0] == 404


def test_answers_before_all_clips_were_fetched_are_refused(listener):
    page = listener.get("/api/pages/1")
    listener.heard = page
    for clip in page["clips"]:
        status, said = listener.submit(1)
        assert status == 409
        assert "were not loaded" in said["error"]
        listener.ask("GET", f"/api/pages/1/clips/{clip['name']}")
    assert listener.submit(1)[0] == 201


def test_answers_sooner_than_clips_can_be_heard_are_refused(test_of):
    with test_of(min_heard_s=0.25) as port:
        listener = Listener(port)
        listener.prepare()
        listener.hear(1)
        status, said = listener.submit(1)
        assert status == 409
        assert "sooner than the clips can be heard" in said["error"]
        time.sleep(4 * 0.25)
        assert listener.submit(1)[0] == 201


@pytest.mark.parametrize(
    "ratings", [[1] * 4, [1] * 6, [1, 2, 3, 4, 101], [1, 2, 3, 4, -1], [1, 2, 3, 4, 5.5], "11111"]
)
def test_ratings_out_of_range_are_refused(ratings, test_of):
    with test_of(preset="mushra", items=1) as port:
        listener = Listener(port)
        listener.prepare()
        listener.hear(1)
        assert "ratings" in listener.submit(1, answers={"quality": ratings})[1]["error"]
        assert listener.submit(1, answers={"quality": [0, 25, 50, 75, 100]})[0] == 201


@pytest.mark.parametrize(
    "said",
    [
        *({}, {"step": "done"}, {"step": ["volume"]}, {"step": "headphones", "correct": 7}),
        *({"step": "headphones"}, {"step": "headphones", "correct": True}),
        {"step": "hearing", "hearing": "superb", "tones_played": 1, "tones_heard": 1},
        {"step": "hearing", "hearing": "normal", "tones_played": 1, "tones_heard": 99},
    ],
)
def test_results_of_checks_out_of_range_are_refused(said, listener):
    assert listener.refused("POST", "/api/notes", said)[0] == 400


def test_the_first_result_of_a_check_stays(pairs):
    listener = Listener(pairs[0], begin="check" * 7)
    listener.begin()
    for correct in (2, 6):
        listener.ask("POST", "/api/notes", {"step": "headphones", "correct": correct})
    text = listener.ask("GET", "/api/export/listeners.csv", **organiser(pairs[1]))[2].decode()
    assert [row["headphones"] for row in csv.DictReader(io.StringIO(text))].count("failed") == 1


def test_who_must_wear_headphones_and_does_not_hears_no_page(test_of):
    with test_of(headphones="require") as port:
        listener = Listener(port)
        listener.begin()
        for step in ({"step": "volume"}, {"step": "headphones", "correct": 4}):
            _, _, content = listener.ask("POST", "/api/notes", step)
        assert json.loads(content)["stage"] == "refused"
        assert listener.refused("GET", "/api/pages/1")[0] == 409
        assert listener.refused("GET", "/api/pages/0")[0] == 409


def test_no_page_is_heard_before_the_checks(pairs):
    listener = Listener(pairs[0], begin="early" * 7)
    listener.begin()
    assert listener.refused("GET", "/api/pages/1")[0] == 409


# Malformed, too long, too often, from elsewhere.


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "no JSON"),
        ("[]", 400, "expected a JSON object"),
        ("\xff", 400, "no JSON"),
        ("[" * 5000, 400, "no JSON"),
        ("", 400, "no JSON"),
        (json.dumps({"x": "x" * 20000}), 413, "too long"),
    ],
)
def test_malformed_requests_get_one_line(body, status, said, listener):
    for path in ("/api/session", "/api/notes", "/api/pages/1/answer"):
        refusal = listener.refused(
            "POST", path, body.encode("latin-1"), Content_Type="application/json"
        )
        assert refusal[0] == status
        assert said in refusal[1]


ODD = [
    None,
    True,
    -1,
    0,
    1.5,
    10**400,
    "",
    "a",
    "\x00",
    "\ud800",
    "é" * 40,
    [],
    [[]],
    {},
    {"a": []},
]
FIELDS = ("begin", "consent", "step", "correct", "hearing", "tones_played", "tones_heard")
FIELDS += ("key", "rt_s", "answers")


def test_no_request_whatever_it_says_is_an_error_of_the_server(test_of):
    chance = random.Random(0)
    paths = [
        "/api/session",
        "/api/notes",
        "/api/leave",
        "/api/pages/1/answer",
        "/api/pages/0/answer",
    ]
    with test_of(server={"limits": Limits(per_session=1e6)}) as port:
        listener = Listener(port)
        listener.prepare()
        listener.hear(1)
        for _ in range(300):
            said = {field: chance.choice(ODD) for field in FIELDS if chance.random() < 0.7}
            status, text = listener.ask("POST", chance.choice(paths), json.dumps(said), **JSON)[::2]
            assert status < 500, (said, text)
        assert listener.get("/api/state")["n_answered"] == 0


def test_a_body_of_no_length_is_cut_off_too(listener):
    connection = HTTPConnection("127.0.0.1", listener.port, timeout=30)
    connection.putrequest("POST", "/api/notes")
    connection.putheader("Cookie", listener.cookie)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(iter([b"x" * 9000, b"x" * 9000]), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("begin", ["", "x", "x" * 65, "../" * 12, "é" * 32, 7, None])
def test_what_a_browser_makes_up_must_be_letters_and_digits(begin, pairs):
    status, _ = Listener(pairs[0]).refused(
        "POST", "/api/session", {"consent": True, "begin": begin}
    )
    assert status == 400


@pytest.mark.parametrize("consent", [False, None, "true", 1])
def test_nothing_begins_without_consent(consent, pairs):
    status, said = Listener(pairs[0]).refused(
        "POST", "/api/session", {"consent": consent, "begin": "0" * 32}
    )
    assert (status, "consent" in said) == (400, True)


def test_other_sites_cannot_speak_for_a_listener(listener):
    body = json.dumps({"step": "volume"})
    kinds = {"Content_Type": "application/json"}
    assert listener.refused("POST", "/api/notes", body, **kinds, Origin="http://evil")[0] == 403
    assert listener.refused("POST", "/api/notes", body, **kinds, Origin="null")[0] == 403
    assert listener.refused("POST", "/api/notes", body, Content_Type="text/plain")[0] == 415
    own = f"http://127.0.0.1:{listener.port}"
    assert listener.ask("POST", "/api/notes", body, **kinds, Origin=own)[0] == 200
    assert listener.refused("POST", "/api/notes", body, **kinds, Origin=own + "0")[0] == 403


def test_behind_a_proxy_the_address_that_listeners_know_is_its_own(test_of):
    known = "https://listen.example.org"
    with test_of(server={"origin": known}) as port:
        listener = Listener(port)
        listener.begin()
        said = json.dumps({"step": "volume"})
        assert listener.ask("POST", "/api/notes", said, **JSON, Origin=known)[0] == 200
        assert (
            listener.refused("POST", "/api/notes", said, **JSON, Origin=known + ".evil")[0] == 403
        )


def test_it_answers_to_its_own_name_alone(pairs):
    assert Listener(pairs[0]).ask("GET", "/api/state", Host="evil.example")[0] == 400
    assert Address().hosts() == sorted(["127.0.0.1", "::1", "[::1]", "localhost"])
    assert Address(host="0.0.0.0").hosts() == ["*"]
    public = Address(public_url="https://listen.example.org/a/")
    assert "listen.example.org" in public.hosts()
    assert public.origin == "https://listen.example.org"


def test_unknown_methods_are_refused(pairs):
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        assert Listener(pairs[0]).refused(method, "/api/state")[0] == 405


def test_too_many_requests_are_refused_and_the_next_moment_answered(test_of):
    limits = Limits(per_session=2.0)
    with test_of(server={"limits": limits}) as port:
        listener = Listener(port)
        listener.prepare()
        statuses = set()
        while 429 not in statuses:
            statuses.add(listener.ask("GET", "/api/state")[0])
        assert statuses == {200, 429}
        time.sleep(0.6)
        assert listener.ask("GET", "/api/state")[0] == 200


def test_an_address_gets_no_more_than_its_share_even_without_a_session(test_of):
    with test_of(server={"limits": Limits(per_address=1.0)}) as port:
        listener = Listener(port)
        statuses = [listener.ask("GET", "/api/state")[0] for _ in range(15)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses


def test_new_listeners_are_limited_by_address_and_in_all(test_of):
    limits = Limits(new_per_address=0.05)
    with test_of(server={"limits": limits, "most": 3}) as port:
        for k in range(3):
            Listener(port, begin=f"{k:032d}").begin()
        body = {"consent": True, "begin": "f" * 32}
        assert Listener(port).refused("POST", "/api/session", body)[0] == 429


def test_a_test_takes_no_more_listeners_than_it_should(test_of):
    with test_of(server={"most": 1}) as port:
        Listener(port).begin()
        body = {"consent": True, "begin": "f" * 32}
        status, said = Listener(port).refused("POST", "/api/session", body)
        assert (status, "as many listeners" in said) == (503, True)
        Listener(port).begin()  # who is in stays in


# What the organiser gets.


@pytest.mark.parametrize("token", [None, "Bearer ", "Bearer wrong", "Basic {right}", "{right}"])
def test_answers_are_for_who_has_the_token(token, recordings, test_of, tmp_path):
    with test_of() as port:
        right = design.read(tmp_path / "test")[1].organiser
        headers = {"Authorization": token.format(right=right)} if token else {}
        for name in ("judgements.csv", "listeners.csv", "secret.json"):
            status, said = Listener(port).refused("GET", f"/api/export/{name}", **headers)
            assert status == 401
            assert right not in said


def test_who_guesses_tokens_is_slowed_down(test_of):
    with test_of() as port:
        statuses = [
            Listener(port).refused("GET", "/api/export/judgements.csv", Authorization="Bearer x")[0]
            for _ in range(8)
        ]
        assert statuses[0] == 401
        assert statuses[-1] == 429


def test_the_export_says_what_was_heard_as_what(pairs, listener):
    _, folder = pairs
    page = listener.hear(1)
    listener.submit(1, answers={"quality": "a", "separation": "b"})
    status, headers, content = listener.ask(
        "GET", "/api/export/judgements.csv", **organiser(folder)
    )
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert tuple(rows[0]) == JUDGEMENTS
    quality, separation = rows[-2:]
    assert quality["preferred"] == quality["system_a"] != separation["preferred"]
    assert {quality["system_a"], quality["system_b"]} == set(SYSTEMS)
    assert quality["stem"] == page["stem"]
    test, secret = design.read(folder)
    shown = design.Page(quality["page"], quality["item"], ())
    assert test.page(shown.id).item == shown.item
    assert all(secret.clips[name].item == shown.item for name in test.page(shown.id).stimuli)


def test_what_is_played_as_a_is_what_the_export_calls_a(pairs, listener):
    """The bytes of the clips, followed from the file of the system to the listener."""
    _, folder = pairs
    page = listener.hear(1)
    _, _, played = listener.ask("GET", f"/api/pages/1/clips/{page['clips'][0]['name']}")
    listener.submit(1)
    _, _, content = listener.ask("GET", "/api/export/judgements.csv", **organiser(folder))
    row = list(csv.DictReader(io.StringIO(content.decode())))[-1]
    _, secret = design.read(folder)
    files = {path.read_bytes(): path.stem for path in (folder / "audio").iterdir()}
    clip = secret.clips[files[played]]
    assert (clip.system, clip.item) == (row["system_a"], row["item"])


def test_the_command_exports_the_same(pairs, listener, tmp_path):
    _, folder = pairs
    listener.answer(1)
    out, people = tmp_path / "judgements.csv", tmp_path / "listeners.csv"
    arguments = ["listen", "export", folder, "-o", out, "--listeners", people, "--json", "-"]
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    _, _, content = listener.ask("GET", "/api/export/judgements.csv", **organiser(folder))
    assert out.read_bytes() == content
    assert tuple(people.read_text().splitlines()[0].split(",")) == LISTENERS
    assert len(json.loads(result.stdout)["judgements"]) == content.count(b"\n") - 1
    token = CliRunner().invoke(main, ["listen", "export", str(folder), "--token"])
    assert f"Bearer {token.stdout.strip()}" == organiser(folder)["Authorization"]


def test_ratings_are_exported_a_row_each(test_of, tmp_path):
    with test_of(preset="mushra", items=1) as port:
        listener = Listener(port)
        listener.prepare()
        listener.hear(1)
        listener.submit(1, answers={"quality": [10, 20, 30, 40, 50]})
        _, _, content = listener.ask(
            "GET", "/api/export/judgements.csv", **organiser(tmp_path / "test")
        )
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["label"], row["rating"]) for row in rows] == [
        *(("A", "10"), ("B", "20"), ("C", "30"), ("D", "40"), ("E", "50"))
    ]
    systems = {row["system"]: row["condition"] for row in rows}
    assert systems == dict.fromkeys(SYSTEMS, "system") | {
        "reference": "reference",
        "anchor3500": "anchor",
        "anchor7000": "anchor",
    }


def test_a_port_that_is_taken_is_said_in_a_line(pairs):
    port, folder = pairs
    for options in (["--port", str(port)], ["--host", "256.1.1.1"], ["--public-url", "listen"]):
        result = CliRunner().invoke(main, ["listen", "serve", str(folder), *options])
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
