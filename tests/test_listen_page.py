"""Listening tests as listeners take them, in headless Chromium: real clicks, keys and sound.

The tests of the sounds alone need Node.
"""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from listening import made, served, write_recordings

pytest.importorskip("starlette")

from unmask.listen import design
from unmask.listen.export import judgements, listeners
from unmask.listen.serving import open_store

PAGE = Path(design.__file__).with_name("page")
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node here")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def opened(recordings, browser, tmp_path):
    """Serve a test; a function that opens it in a tab, with cookies of its own or a visitor's."""
    stop = []

    def serve(**settings):
        given = {"items": 2, "min_heard_s": 0.05, "headphones": "off"} | settings
        folder = made(recordings, tmp_path / "test", **given)
        context = served(folder)
        port = context.__enter__()
        stop.append(context)

        def tab(visitor=None):
            return browser.tab(visitor or browser.visitor(), f"http://127.0.0.1:{port}/")

        return tab

    browser.complaints.clear()
    yield serve
    for context in stop:
        context.__exit__(None, None, None)


def stored(tmp_path):
    """What was stored: rows of answers, rows of listeners."""
    test, secret, store = open_store(tmp_path / "test", None)
    rows, people = list(judgements(test, secret, store)), list(listeners(test, store))
    store.close()
    return rows, people


STEPS = [
    ("session", {"consent": True, "begin": "%"}),
    ("notes", {"step": "volume"}),
    ("notes", {"step": "hearing", "hearing": "normal", "tones_played": 3, "tones_heard": 3}),
    ("notes", {"step": "training"}),
]


def to_the_pages(tab, name="0"):
    """Pass what comes before the pages by asking the server, and begin there."""
    tab.heading("Welcome")
    for path, said in STEPS:
        body = json.dumps(said).replace("%", name * (32 // len(name)))
        options = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": body}
        assert tab.run(f"fetch('api/{path}', {json.dumps(options)}).then((r) => r.ok)")
    tab.reload()
    tab.heading("Welcome back")
    tab.click("#next")
    tab.heading("Page 1")


LABELS = "[...document.querySelectorAll('.clip')].map((e) => e.dataset.clip)"


def hear(tab):
    """Listen to every clip of a page."""
    tab.until("!!document.querySelector('.clip')")
    for label in tab.run(LABELS):
        tab.click(f"[data-clip={label}]")
        tab.until(f"document.querySelector('[data-clip={label}]').classList.contains('heard')")


def choose(tab, value):
    names = "[...new Set([...document.querySelectorAll('input[type=radio]')].map((e) => e.name))]"
    for name in tab.run(names):
        tab.click(f"input[name={name}][value={value}]")


def take(tab, page, value="a"):
    """Hear and answer a page."""
    tab.heading(f"Page {page} of")
    hear(tab)
    choose(tab, value)
    tab.click("#next")


def hurry(tab):
    """Play the tones of the checks, which are longer than the clips, 50 times as fast."""
    tab.run("""(() => {
      const start = AudioBufferSourceNode.prototype.start;
      AudioBufferSourceNode.prototype.start = function (...when) {
        if (this.buffer.duration > 1.5) this.playbackRate.value = 50;
        start.apply(this, when);
      };
    })()""")


@needs_chromium
def test_a_listener_takes_a_whole_test(opened, browser, tmp_path):
    tab = opened()()
    tab.heading("Welcome")
    assert tab.run("document.querySelector('#next').disabled")
    tab.click("#agree")
    tab.click("#next")
    tab.heading("Set the volume")
    tab.click("#play")
    tab.until("document.querySelector('.meter').value > 0.3")  # the first page sounds
    tab.click("#next")
    tab.heading("Your hearing")
    hurry(tab)
    tab.click("input[value=normal]")
    assert tab.run("document.querySelector('#next').disabled")
    tab.click("#play")
    tab.click("#count")
    tab.press("4")
    tab.click("#next")
    tab.heading("How it works")
    hear(tab)
    choose(tab, "b")
    tab.click("#next")
    for page, value in ((1, "a"), (2, "b")):
        take(tab, page, value)
    tab.heading("Thank you")
    tab.reload()
    tab.heading("Thank you")
    tab.click("#another")
    tab.heading("Welcome")
    rows, (person,) = stored(tmp_path)
    assert [(row["position"], row["answer"]) for row in rows] == [
        *((1, "a"), (1, "a"), (2, "b"), (2, "b"))
    ]
    assert all(0.1 < row["rt_s"] < 60 for row in rows)
    assert person["finished_at"]
    assert (person["hearing"], person["tones_heard"]) == ("normal", 4)
    assert 3 <= person["tones_played"] <= 6
    assert browser.complaints == []


@needs_chromium
def test_one_cannot_go_on_before_all_was_heard_and_answered(opened, tmp_path):
    tab = opened()()
    to_the_pages(tab)
    tab.until("!!document.querySelector('.clip')")
    assert tab.run("[...document.querySelectorAll('input[type=radio]')].every((e) => e.disabled)")
    for label in tab.run(LABELS):
        assert label in tab.run("document.querySelector('.hint').textContent")
        tab.click(f"[data-clip={label}]")
        tab.until(f"document.querySelector('[data-clip={label}]').classList.contains('heard')")
        assert tab.run("document.querySelector('#next').disabled")
    tab.click("input[name=quality][value=a]")
    assert "1 question" in tab.run("document.querySelector('.hint').textContent")
    tab.run("document.querySelector('#next').click()")  # a click that the button must not take
    assert tab.run("document.querySelector('#next').disabled")
    tab.click("input[name=separation][value=b]")
    tab.click("#next")
    tab.heading("Page 2")
    rows, _ = stored(tmp_path)
    assert [row["answer"] for row in rows] == ["a", "b"]


@needs_chromium
def test_after_a_reload_one_goes_on_where_one_was(opened, tmp_path):
    tab = opened(items=3)()
    to_the_pages(tab)
    take(tab, 1)
    tab.heading("Page 2")
    hear(tab)
    choose(tab, "b")
    tab.reload()
    tab.heading("Welcome back")
    assert "1 of 3 pages" in tab.text()
    tab.click("#next")
    take(tab, 2)
    tab.heading("Page 3")
    rows, _ = stored(tmp_path)
    assert Counter((row["position"], row["answer"]) for row in rows) == {(1, "a"): 2, (2, "a"): 2}


@needs_chromium
def test_a_double_click_answers_one_page_once(opened, tmp_path):
    tab = opened(items=3)()
    to_the_pages(tab)
    for page in (1, 2):
        tab.heading(f"Page {page} of")
        hear(tab)
        choose(tab, "a")
        tab.click("#next", count=2)
    tab.heading("Page 3")
    rows, _ = stored(tmp_path)
    assert Counter(row["position"] for row in rows) == {1: 2, 2: 2}


@needs_chromium
def test_of_two_tabs_the_first_answer_stays_and_both_go_on(opened, browser, tmp_path):
    open_tab, visitor = opened(items=3), browser.visitor()
    one = open_tab(visitor)
    to_the_pages(one)
    other = open_tab(visitor)
    other.heading("Welcome back")
    other.click("#next")
    other.heading("Page 1")
    hear(other)
    choose(other, "b")
    one.call("Page.bringToFront")
    take(one, 1, "a")
    one.heading("Page 2")
    other.call("Page.bringToFront")
    other.click("#next")
    other.heading("Page 2")
    assert "answered already" in other.text()
    take(other, 2, "b")
    other.heading("Page 3")
    rows, people = stored(tmp_path)
    assert Counter((row["position"], row["answer"]) for row in rows) == {(1, "a"): 2, (2, "b"): 2}
    assert len(people) == 1


@needs_chromium
def test_a_lost_connection_loses_no_answer(opened, tmp_path):
    tab = opened(items=3)()
    to_the_pages(tab)
    tab.heading("Page 1")
    hear(tab)
    choose(tab, "b")
    tab.offline(True)
    tab.click("#next")
    tab.until("document.body.innerText.includes('connection is lost')")
    assert stored(tmp_path)[0] == []
    tab.offline(False)
    tab.heading("Page 2")
    assert "connection is lost" not in tab.text()
    assert [row["answer"] for row in stored(tmp_path)[0]] == ["b", "b"]


@needs_chromium
def test_an_answer_that_could_not_be_sent_is_sent_by_the_next_visit(opened, tmp_path):
    tab = opened(items=2)()
    to_the_pages(tab)
    hear(tab)
    choose(tab, "b")
    tab.offline(True)
    url = tab.run("location.href")
    tab.click("#next")
    tab.until("document.body.innerText.includes('connection is lost')")
    tab.go("about:blank")
    tab.offline(False)
    tab.go(url)
    tab.heading("Welcome back")
    tab.click("#next")
    tab.heading("Page 2")
    assert [row["answer"] for row in stored(tmp_path)[0]] == ["b", "b"]


@needs_chromium
def test_the_back_button_neither_loses_nor_repeats(opened, tmp_path):
    tab = opened(items=2)()
    to_the_pages(tab)
    take(tab, 1)
    tab.heading("Page 2")
    tab.go("about:blank")
    tab.until("location.href === 'about:blank'")
    tab.back()
    tab.heading("Welcome back")
    tab.click("#next")
    take(tab, 2)
    tab.heading("Thank you")
    assert Counter(row["position"] for row in stored(tmp_path)[0]) == {1: 2, 2: 2}


@needs_chromium
def test_several_listeners_at_once_do_not_meet(opened, tmp_path):
    open_tab = opened(items=1)
    tabs = [open_tab() for _ in range(3)]
    for k, tab in enumerate(tabs):
        to_the_pages(tab, f"{k}")
    for tab, value in zip(tabs, "aba", strict=True):
        tab.call("Page.bringToFront")
        hear(tab)
        choose(tab, value)
    for tab in tabs:
        tab.call("Page.bringToFront")
        tab.click("#next")
    for tab in tabs:
        tab.heading("Thank you")
    rows, people = stored(tmp_path)
    answers = Counter((row["listener"], row["answer"]) for row in rows)
    assert answers == {("L001", "a"): 2, ("L002", "b"): 2, ("L003", "a"): 2}
    assert len({person["session"] for person in people}) == 3


@needs_chromium
def test_only_the_clip_that_plays_can_be_rated(opened, tmp_path):
    tab = opened(preset="mushra", items=1)()
    to_the_pages(tab)
    tab.until("!!document.querySelector('.clip')")
    assert tab.run("document.querySelectorAll('.rating input:enabled').length") == 0
    for label in "ABCDE":
        tab.click(f"[data-clip={label}]")
        tab.until(f"!document.querySelector('[data-clip={label}] + input').disabled")
        assert tab.run("document.querySelectorAll('.rating input:enabled').length") == 1
        tab.click(f"[data-clip={label}] + input")
        for _ in range(5 * (ord(label) - ord("A"))):
            tab.press("ArrowRight")
        tab.until(f"document.querySelector('[data-clip={label}]').classList.contains('heard')")
    assert tab.run("document.querySelector('#next').disabled")  # the reference was not heard
    tab.click("[data-clip=Reference]")
    tab.click("#next")
    tab.heading("Thank you")
    rows, _ = stored(tmp_path)
    assert [row["rating"] - rows[0]["rating"] for row in rows] == [0, 5, 10, 15, 20]
    assert {row["system"] for row in rows if row["condition"] == "system"} == {"ours", "theirs"}


@needs_chromium
def test_a_page_can_be_answered_with_keys_alone(opened, tmp_path):
    tab = opened()()
    to_the_pages(tab)
    tab.until("!!document.querySelector('.clip')")
    for key, label in (("a", "A"), ("b", "B"), ("m", "Mixture"), ("t", "Target")):
        tab.press(key)
        tab.until(f"document.querySelector('[data-clip={label}]').classList.contains('heard')")
        assert tab.run(f"document.querySelector('[data-clip={label}]').ariaPressed") == "true"
    tab.press(" ")
    tab.until("document.querySelector('.round').ariaLabel === 'Play'")
    for name in ("quality", "separation"):
        while tab.run("document.activeElement.name") != name:
            tab.press("Tab")
        tab.press("ArrowRight")
    while tab.run("document.activeElement.id") != "next":
        tab.press("Tab")
    tab.press("Enter")
    tab.heading("Page 2")
    assert tab.run("document.activeElement.tagName") == "H1"
    assert [row["answer"] for row in stored(tmp_path)[0]] == ["b", "b"]


ROLES = {"button", "radio", "checkbox", "slider", "spinbutton", "progressbar", "progressindicator"}


@needs_chromium
def test_clips_can_be_rated_with_keys_alone(opened, tmp_path):
    tab = opened(preset="mushra", items=1)()
    to_the_pages(tab)
    tab.until("!!document.querySelector('.clip')")
    tab.press("a")
    tab.until("!document.querySelector('[data-clip=A] + input').disabled")
    while (
        tab.run("document.activeElement.type") != "range"
        or tab.run("document.activeElement.max") != "100"
    ):
        tab.press("Tab")
    for label in "ABCDE":
        tab.press(label.lower())  # the slider of that clip gets the focus
        slider = f"[data-clip={label}] + input"
        tab.until(f"document.activeElement === document.querySelector('{slider}')")
        tab.press("ArrowLeft")
        tab.until(f"document.querySelector('[data-clip={label}]').classList.contains('heard')")
    tab.press("r")
    tab.until("document.querySelector('[data-clip=Reference]').classList.contains('heard')")
    while tab.run("document.activeElement.id") != "next":
        tab.press("Tab")
    tab.press("Enter")
    tab.heading("Thank you")
    assert [row["rating"] for row in stored(tmp_path)[0]] == [49] * 5


@needs_chromium
@pytest.mark.parametrize("preset", ["paper", "mushra"])
def test_all_controls_have_names_and_fit_a_phone(preset, opened):
    tab = opened(preset=preset)()
    tab.phone(width=320)
    to_the_pages(tab)
    tab.until("!!document.querySelector('.clip')")
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in tree if node.get("role", {}).get("value") in ROLES]
    assert len(controls) >= 9
    assert all(node["name"]["value"].strip() for node in controls)
    assert tab.run("document.scrollingElement.scrollWidth <= innerWidth")
    heights = "[...document.querySelectorAll('button, .option')].map((e) => e.offsetHeight)"
    assert min(tab.run(heights)) >= 44


@needs_chromium
def test_the_headphone_check_counts_who_finds_the_quiet_tone(opened, tmp_path):
    tab = opened(headphones="ask")()
    tab.heading("Welcome")
    for path, said in STEPS[:2]:
        body = json.dumps(said).replace("%", "0" * 32)
        options = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": body}
        assert tab.run(f"fetch('api/{path}', {json.dumps(options)}).then((r) => r.ok)")
    tab.reload()
    tab.heading("Welcome back")
    tab.click("#next")
    hurry(tab)
    for right in (3, 6):  # the first time fails, and may be repeated once
        for k in range(6):
            tab.heading(f"{k + 1} of 6")
            assert tab.run("document.querySelector('[data-answer]').disabled")
            tab.click("#play")
            order = tab.run("document.querySelector('#play').dataset.order").split()
            chosen = order.index("quiet" if k < right else "antiphase")
            tab.click(f"[data-answer='{chosen}']")
    tab.heading("Your hearing")
    _, (person,) = stored(tmp_path)
    assert (person["headphones"], person["headphones_correct"]) == ("passed", 6)


# The sound itself.

#: Two clips, or one twice, are switched at times of which some lie within a fade of another.
RENDER = """(async () => {
  const { FADE_S, Player } = await import("./static/player.js");
  const rate = 48000, n = 12000, total = 30000;
  const context = new OfflineAudioContext(1, total, rate);
  const noise = (seed) => Float32Array.from({ length: n }, () => {
    seed = (1103515245 * seed + 12345) % 2147483648; return seed / 1073741824 - 1; });
  const clips = [noise(1), noise(SECOND)];
  const buffers = clips.map((clip) => {
    const buffer = new AudioBuffer({ length: n, sampleRate: rate });
    buffer.copyToChannel(clip, 0); return buffer; });
  const player = new Player(context, buffers);
  player.start(0, 0);
  const switches = SWITCHES;
  switches.forEach(([at, k]) => player.select(k, at));
  const heard = (await context.startRendering()).getChannelData(0);
  return { heard: [...heard], clips: clips.map((clip) => [...clip]), fade: FADE_S * rate };
})()"""


def rendered(tab, switches, second):
    np = pytest.importorskip("numpy")
    script = RENDER.replace("SWITCHES", json.dumps(switches)).replace("SECOND", str(second))
    found = tab.run(script)
    clips = np.array([np.resize(clip, 30000) for clip in found["clips"]])
    return np.array(found["heard"]), clips, found["fade"]


@needs_chromium
def test_a_switch_has_no_gap_clips_that_are_one_sound_as_if_never_switched(opened):
    tab = opened()()
    tab.heading("Welcome")
    switches = [[0.05 + 0.0137 * k, (k + 1) % 2] for k in range(20)]
    switches += [[0.4, 1], [0.402, 0], [0.4031, 1], [0.4032, 0]]  # within the fade of another
    heard, clips, fade = rendered(tab, switches, second=1)
    assert fade == 240
    assert abs(heard[240:] - clips[0, 240:]).max() < 1e-6


@needs_chromium
def test_a_switch_fades_within_5_ms_from_sample_to_the_same_sample_of_the_other(opened):
    np = pytest.importorskip("numpy")
    tab = opened()()
    tab.heading("Welcome")
    heard, clips, fade = rendered(tab, [[0.1, 1], [0.5, 0]], second=2)
    n = np.arange(30000)
    share = np.clip((n - 4800) / fade, 0, 1) - np.clip((n - 24000) / fade, 0, 1)
    expected = (1 - share) * clips[0] + share * clips[1]
    assert abs(heard[240:] - expected[240:]).max() < 1e-4
    assert abs(clips[0] - clips[1]).max() > 0.5


TONES = """
import { FREQUENCIES, KINDS, headphoneTrial, shuffled, tonesToCount } from "%";
const rate = 8000;
const [left, right] = headphoneTrial(["plain", "antiphase", "quiet"], rate);
const counted = tonesToCount([500, 1000], rate)[0];
const orders = Array.from({ length: 600 }, () => shuffled(KINDS).join());
console.log(JSON.stringify({ left: [...left], right: [...right], counted: [...counted], orders }));
"""


@needs_node
def test_tones_of_the_headphone_check_are_those_of_the_literature():
    np = pytest.importorskip("numpy")
    script = TONES.replace("%", (PAGE / "tones.js").as_uri())
    command = [NODE, "--input-type=module", "-e", script]
    found = json.loads(subprocess.check_output(command, timeout=60))
    left, right = (np.array(found[side]).reshape(-1) for side in ("left", "right"))
    assert len(left) == 4 * 8000
    plain, antiphase, quiet = (slice(k * 12000, k * 12000 + 8000) for k in range(3))
    np.testing.assert_array_equal(left[plain], right[plain])
    np.testing.assert_array_equal(left[antiphase], -right[antiphase])
    np.testing.assert_allclose(2 * left[quiet], left[plain], atol=1e-7)  # 6 dB
    np.testing.assert_array_equal(left[quiet], right[quiet])
    assert not left[8000:12000].any()
    spectrum = np.abs(np.fft.rfft(left[plain]))
    assert spectrum.argmax() == 200
    assert Counter(found["orders"]).keys() >= {"plain,quiet,antiphase", "antiphase,quiet,plain"}
    assert min(Counter(found["orders"]).values()) > 60
    tones = np.array(found["counted"])
    assert [int(np.abs(np.fft.rfft(tones[k * 8000 + 4000 :][:4000])).argmax()) for k in (0, 1)] == [
        *(250, 500)
    ]
