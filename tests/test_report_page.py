"""The page of reports in Chromium, opened from disk: seen, heard sample by sample, used by keys."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import unmask
from browser import CHROMIUM, Browser
from unmask import report
from unmask.cli import main
from unmask.report import sounds

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

SCRIPTS = Path(report.__file__).parent / "page"
PLAYER = SCRIPTS.parents[1] / "listen" / "page" / "player.js"
RATE = 16000


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    running = Browser(tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture
def blank(browser):
    browser.complaints.clear()
    return browser.tab(browser.visitor(), "about:blank")


def waves(seed=0, seconds=2):
    rng = np.random.default_rng(seed)
    target = 0.2 * rng.uniform(-1, 1, (2, seconds * RATE)).astype(np.float32)
    other = 0.2 * rng.uniform(-1, 1, target.shape).astype(np.float32)
    return target, other, target + 0.05 * other


def recording(name="one"):
    """A recording of two stems, with all versions, scores and a gap report."""
    speech, noise, estimate = waves()
    excerpt = report.Excerpt(
        name=name,
        separator="test",
        sample_rate=RATE,
        start_s=10.0,
        whole_s=60.0,
        mixture=speech + noise,
        estimates={"speech": estimate, "noise": speech + noise - estimate},
        truth={"speech": speech, "noise": noise},
    )
    return report.contents(excerpt)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write(path, [report.pack(recording(), "r0")], title="one")
    return path


@pytest.fixture
def tab(browser, page):
    return opened(browser, page)


def opened(browser, path):
    browser.complaints.clear()
    tab = browser.tab(browser.visitor(), "about:blank")
    tab.desktop()
    tab.go(path.as_uri())
    tab.until("document.documentElement.dataset.ready")
    return tab


def heard(tab):
    """What the page says is heard: version and stem."""
    marked = (
        "[...document.querySelectorAll('.option:has(:checked) span')].map((e) => e.textContent)"
    )
    return tab.run(marked)


def seconds(tab):
    return float(tab.run("document.querySelector('input[type=range]').value"))


def is_playing(tab):
    return tab.run("document.documentElement.dataset.playing") == "true"


# The player, rendered


RENDER = """(async () => {
  const { Player, FADE_S } = await import("data:text/javascript;base64,%PLAYER%");
  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floats = (text) => new Float32Array(bytesOf(text).buffer);
  const rate = 48000;
  const clips = %CLIPS%.map(floats);
  const context = new OfflineAudioContext(1, %TOTAL%, rate);
  const buffers = clips.map((clip) => {
    const buffer = new AudioBuffer({ length: clip.length, sampleRate: rate });
    buffer.copyToChannel(clip, 0); return buffer; });
  const player = new Player(context, buffers);
  const at = (time, act) => context.suspend(time).then(() => { act(); context.resume(); });
  %DO%
  const found = (await context.startRendering()).getChannelData(0);
  const bytes = new Uint8Array(found.buffer);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return [btoa(text), FADE_S * rate];
})()"""
FADE = 240
QUANTUM = 128 / 48000


def rendered(tab, clips, commands, total=30000):
    """What comes out of the player, sample by sample."""
    encoded = [base64.b64encode(clip.astype(np.float32).tobytes()).decode() for clip in clips]
    script = RENDER.replace("%PLAYER%", base64.b64encode(PLAYER.read_bytes()).decode())
    script = script.replace("%CLIPS%", json.dumps(encoded)).replace("%TOTAL%", str(total))
    text, fade = tab.run(script.replace("%DO%", commands))
    assert fade == FADE
    return np.frombuffer(base64.b64decode(text), np.float32)


@pytest.fixture
def clips(rng):
    return rng.uniform(-1, 1, (3, 24000))


def test_a_switch_between_two_that_are_one_sound_is_not_in_the_output(blank, clips):
    switches = [(0.05 + 0.0137 * k, (k + 1) % 2) for k in range(25)]
    switches += [(0.42, 1), (0.422, 0), (0.4231, 1)]  # within the fade of another
    commands = "player.start(0, 0);" + "".join(f"player.select({k}, {t});" for t, k in switches)
    found = rendered(blank, [clips[0], clips[0]], commands)
    np.testing.assert_allclose(found[FADE:], np.resize(clips[0], 30000)[FADE:], rtol=0, atol=1e-6)


def test_a_switch_is_a_fade_of_5_ms_from_sample_to_the_same_sample(blank, clips):
    found = rendered(
        blank, clips, "player.start(0, 0); player.select(1, 0.1); player.select(2, 0.4);"
    )
    n = np.arange(30000)
    first, second = (np.clip((n - at * 48000) / FADE, 0, 1) for at in (0.1, 0.4))
    a, b, c = (np.resize(clip, 30000) for clip in clips)
    expected = (1 - first) * a + (first - second) * b + second * c
    np.testing.assert_allclose(found[FADE:], expected[FADE:], rtol=0, atol=1e-4)


def test_levels_are_those_that_were_set(blank, clips):
    found = rendered(blank, clips, "player.setLevels([0.5, 2, 1]); player.start(0, 0);"
                     "player.select(1, 0.1); player.setLevels([1, 1, 1], 0.2);")  # fmt: skip
    for start, clip, level in ((FADE, 0, 0.5), (4800 + FADE, 1, 2.0), (9600 + FADE, 1, 1.0)):
        part = slice(start, start + 4000)
        np.testing.assert_allclose(found[part], level * clips[clip][part], rtol=0, atol=1e-5)


def test_a_region_is_repeated_to_the_sample(blank, clips):
    found = rendered(blank, clips, "player.setLoop(true, [0.1, 0.2]); player.start(0.1, 0);")
    repeated = np.resize(clips[0][4800:9600], 30000)
    np.testing.assert_allclose(found[FADE:], repeated[FADE:], rtol=0, atol=1e-5)


def test_to_end_a_loop_changes_nothing_that_is_heard_before(blank, clips):
    commands = "player.start(0, 0);" + "".join(
        f"at({n * QUANTUM}, () => player.setLoop({on}));" for n, on in ((40, "true"), (80, "false"))
    )
    found = rendered(blank, clips, commands)
    np.testing.assert_allclose(found[FADE:24000], clips[0][FADE:], rtol=0, atol=1e-4)
    assert not found[24000:].any()


def test_to_go_elsewhere_fades_from_what_was_played_into_what_is_there(blank, clips):
    when = 40 * QUANTUM
    commands = f"player.start(0, 0); at({when}, () => player.start(0.3, {when + 0.02}));"
    found = rendered(blank, clips, commands, total=15000)
    n = np.arange(15000)
    jump = round((when + 0.02) * 48000)
    share = np.clip((n - jump) / FADE, 0, 1)
    there = np.zeros(15000)
    there[jump:] = np.resize(np.roll(clips[0], -14400), 15000)[: 15000 - jump]
    expected = (1 - share) * clips[0][:15000] + share * there
    np.testing.assert_allclose(found[FADE:], expected[FADE:], rtol=0, atol=2e-3)


# The page


def test_it_opens_from_disk_and_has_nothing_to_complain_of(browser, tab):
    assert tab.run("location.protocol") == "file:"
    assert tab.run("document.title") == "one"
    assert [image for image in images_of(tab) if not image["width"]] == []
    assert len(images_of(tab)) == 5 + 3  # spectrograms, and masks of what can be one
    assert browser.complaints == []


def images_of(tab):
    every = (
        "[...document.querySelectorAll('img')].map((e) => ({ width: e.naturalWidth, alt: e.alt }))"
    )
    return tab.run(every)


def test_its_policy_keeps_it_from_the_network(tab):
    asked = "fetch('http://127.0.0.1:9/').then(() => 'went', (error) => error.name)"
    violated = f"""new Promise((resolve) => {{
      document.addEventListener("securitypolicyviolation", (e) => resolve(e.effectiveDirective));
      {asked};
    }})"""
    assert tab.run(violated) == "connect-src"


def decoded_versions(browser, tmp_path, kind):
    """What Chromium makes of the sounds of a page, beside what they were made of."""
    packed = report.pack(recording(), "r0", kind=kind)
    report.write(tmp_path / "report.html", [packed], title="one")
    tab = opened(browser, tmp_path / "report.html")
    [said] = [stem for stem in packed.said["stems"] if stem["name"] == "speech"]
    [speech] = [stem for stem in recording().stems if stem.name == "speech"]
    for version, place in zip(speech.versions[:4], said["versions"], strict=False):
        name = packed.said["sounds"][place["sound"]]["audio"]
        yield decoded_in(tab, name), version.waveform


def test_flac_is_decoded_to_the_samples_that_were_given(browser, tmp_path):
    for decoded, given in decoded_versions(browser, tmp_path, "flac"):
        np.testing.assert_allclose(decoded, given, rtol=0, atol=2**-15)


def test_ogg_is_decoded_to_as_many_samples_in_step(browser, tmp_path):
    for decoded, given in decoded_versions(browser, tmp_path, "ogg"):
        assert decoded.shape == given.shape
        n = given.shape[-1]
        crossed = np.fft.irfft(np.conj(np.fft.rfft(given[0])) * np.fft.rfft(decoded[0]), n)
        assert crossed.argmax() == 0


def decoded_in(tab, name):
    text = tab.run(f"""(async () => {{
      const text = document.getElementById("{name}").textContent;
      const context = new OfflineAudioContext(1, 1, {RATE});
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const buffer = await context.decodeAudioData(bytes.buffer);
      const channels = [0, 1].map((c) => new Uint8Array(buffer.getChannelData(c).buffer));
      return channels.map((bytes) => btoa(bytes.reduce((s, b) => s + String.fromCharCode(b), "")));
    }})()""")
    return np.stack([np.frombuffer(base64.b64decode(channel), np.float32) for channel in text])


def test_keys_play_and_switch(tab):
    assert heard(tab) == ["mixture", "speech"]
    tab.press("2")
    assert heard(tab) == ["estimate", "speech"]
    tab.press(" ")
    tab.until("document.documentElement.dataset.playing === 'true'")
    tab.until("Number(document.querySelector('input[type=range]').value) > 0.2")
    tab.press("5")
    tab.press("s")
    assert heard(tab) == ["error", "noise"]
    assert is_playing(tab)
    tab.press("9")  # there is none
    assert heard(tab) == ["error", "noise"]
    tab.press(" ")
    tab.until("document.documentElement.dataset.playing === 'false'")
    stopped = seconds(tab)
    tab.press("ArrowLeft")
    assert seconds(tab) == pytest.approx(max(0, stopped - 1), abs=0.02)


# Puts a meter between the page and the loudspeaker.
TAP = """
const Own = AudioContext;
window.AudioContext = class extends Own {
  get destination() {
    if (!window.meter) {
      window.meter = new AnalyserNode(this, { fftSize: 2048, smoothingTimeConstant: 0 });
      window.meter.connect(super.destination);
    }
    return window.meter;
  }
};"""
# Frequency and level in dB of what is loudest in the output just now.
LOUDEST = """(() => {
  const levels = new Float32Array(meter.frequencyBinCount);
  meter.getFloatFrequencyData(levels);
  const k = levels.indexOf(Math.max(...levels));
  return [(k * meter.context.sampleRate) / meter.fftSize, levels[k]];
})()"""


@pytest.fixture
def sines(browser, tmp_path):
    """A page of two sines, the second 20 dB below the first, with a meter at its output."""
    n = np.arange(2 * RATE)
    versions = tuple(
        report.Version(kind, kind, level * np.sin(2 * np.pi * hz * n / RATE)[None])
        for kind, hz, level in (("mixture", 500, 0.5), ("estimate", 2000, 0.05))
    )
    found = report.Recording("sines", "", RATE, 0.0, (report.Stem("", versions),))
    report.write(tmp_path / "sines.html", [report.pack(found, "r0")], title="sines")
    tab = browser.tab(browser.visitor(), "about:blank")
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=TAP)
    tab.go((tmp_path / "sines.html").as_uri())
    tab.until("document.documentElement.dataset.ready")
    return tab


def test_what_is_heard_is_what_the_keys_say(sines):
    sines.press(" ")
    sines.until("window.meter !== undefined")
    sines.until(f"Math.abs({LOUDEST}[0] - 500) < 20")
    sines.press("2")
    sines.until(f"Math.abs({LOUDEST}[0] - 2000) < 20")
    sines.press("1")
    sines.until(f"Math.abs({LOUDEST}[0] - 500) < 20")


def test_all_is_equally_loud_until_it_is_asked_otherwise(sines):
    pytest.importorskip("pyloudnorm")
    sines.press(" ")
    sines.until("window.meter !== undefined")
    sines.press("2")
    sines.until(f"{LOUDEST}[1] > -30")  # it was made at -26 dB, and is lifted by nearly 20
    sines.press("m")
    sines.until(f"{LOUDEST}[1] < -30")


def test_the_difference_is_the_first_less_the_second(blank, clips, tmp_path):
    scale = 0.4 / np.abs(clips).max()
    a, b = (scale * clip[None] for clip in clips[:2])
    files = [base64.b64encode(sounds.encoded(x, RATE, "flac")).decode() for x in (a, b)]
    module = base64.b64encode((SCRIPTS / "sounds.js").read_bytes()).decode()
    text = blank.run(f"""(async () => {{
      for (const [k, text] of {json.dumps(files)}.entries()) {{
        const block = document.createElement("script");
        Object.assign(block, {{ type: "text/plain", id: `s${{k}}`, textContent: text }});
        document.body.append(block);
      }}
      const {{ decoded }} = await import("data:text/javascript;base64,{module}");
      const given = [{{ audio: "s0" }}, {{ audio: "s1" }}, {{ minus: [0, 1] }}];
      const buffers = await decoded({{ rate: {RATE}, sounds: given }});
      const bytes = new Uint8Array(buffers[2].getChannelData(0).buffer);
      return btoa(bytes.reduce((s, b) => s + String.fromCharCode(b), ""));
    }})()""")
    found = np.frombuffer(base64.b64decode(text), np.float32)
    np.testing.assert_allclose(found, (a - b)[0], rtol=0, atol=2**-14)  # two were rounded


def test_keys_can_be_turned_off(tab):
    tab.click(".help summary")
    tab.click(".help input")
    tab.press("3")
    assert heard(tab) == ["mixture", "speech"]


def test_a_stretch_that_is_drawn_is_repeated(tab):
    tab.run("window.scrollTo(0, 0)")
    left, top, width = tab.run("""(() => {
      const r = document.querySelector(".lane").getBoundingClientRect();
      return [r.left, r.top + 20, r.width];
    })()""")
    for kind, share in (("mousePressed", 0.25), ("mouseMoved", 0.4), ("mouseReleased", 0.5)):
        place = {"x": left + share * width, "y": top}
        tab.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, **place)
    spoken = tab.run("document.getElementById('spoken').textContent")
    assert spoken == "Loop from 0.5 to 1.0 seconds"
    tab.until("Math.abs(document.querySelector('input[type=range]').value - 0.5) < 0.02")
    tab.press(" ")
    tab.until("document.documentElement.dataset.playing === 'true'")
    places = [seconds(tab) for _ in range(60)]
    assert min(places) >= 0.48
    assert max(places) <= 1.02
    tab.press("Escape")
    assert tab.run("document.querySelector('.region').hidden")


def test_a_click_on_a_track_hears_it_from_there(tab):
    tab.click('.lane[data-place="2"] .picture')
    assert heard(tab) == ["target", "speech"]
    assert seconds(tab) == pytest.approx(1.0, abs=0.02)
    tab.press(" ")  # is the player's after a click
    tab.until("document.documentElement.dataset.playing === 'true'")


def nodes(tab):
    """Role -> names, as readers of the screen are told."""
    tab.call("Accessibility.enable")
    found = {}
    for node in tab.call("Accessibility.getFullAXTree")["nodes"]:
        if not node.get("ignored"):
            name = node.get("name", {}).get("value", "")
            found.setdefault(node["role"]["value"], []).append(name)
    return found


def test_all_that_can_be_used_has_a_name_for_those_who_do_not_see_it(tab):
    told = nodes(tab)
    assert told["heading"][0] == "one"
    assert "Play" in told["button"]
    assert [name.split(" ")[0] for name in told["radio"]][:5] == [
        *("mixture", "estimate", "target", "oracle", "error")
    ]
    assert told["slider"] == ["Position"]
    for role in ("button", "radio", "checkbox", "slider", "image", "table"):
        assert "" not in told[role], role
    assert {"Version", "Stem", "Tracks"} <= set(told["group"])
    assert "Spectrogram: speech, estimate" in told["image"]


def test_everything_is_reached_by_the_tab_key_and_version_groups_by_arrows(tab):
    for _ in range(2):
        tab.press("Tab")
    assert tab.run("document.activeElement.type") == "radio"
    right = {"key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39}
    tab.call("Input.dispatchKeyEvent", type="rawKeyDown", **right)
    assert heard(tab) == ["estimate", "speech"]
    assert seconds(tab) == 0  # the arrows are those of the group


def test_scores_are_those_of_the_recording(tab):
    cells = "[...document.querySelectorAll('section table')][0].querySelectorAll('tbody tr')[0]"
    row = tab.run(f"[...{cells}.children].map((e) => e.textContent)")
    scores = recording().stems[0].scores
    assert row[0] == "speech"
    found = [float(text.replace("−", "-")) for text in row[1:3]]
    expected = [scores["mixture"]["SDR"], scores["estimate"]["SDR"]]
    assert found == pytest.approx(expected, abs=0.006)
    assert expected[1] == pytest.approx(20 * np.log10(1 / 0.05), abs=0.2)


def test_the_gap_follows_the_stem(tab):
    chart = "document.querySelector('.chart').getAttribute('aria-label')"
    assert tab.run(chart).startswith("SDR of speech in dB by octave")
    tab.press("s")
    assert tab.run(chart).startswith("SDR of noise in dB by octave")


def test_several_recordings_have_an_index_that_leads_to_them(browser, tmp_path):
    packed = [report.pack(recording(name), f"r{k}") for k, name in enumerate(["first", "second"])]
    report.write(tmp_path / "report.html", packed, title="both")
    tab = opened(browser, tmp_path / "report.html")
    assert tab.run("document.querySelector('#recording h2').textContent") == "first"
    tab.click("nav tbody tr:nth-child(2) a")
    tab.until("document.documentElement.dataset.ready === '2'")
    assert tab.run("document.querySelector('#recording h2').textContent") == "second"
    assert browser.complaints == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, page, look):
    tab = opened(browser, page)
    feature = [{"name": "prefers-color-scheme", "value": look}]
    tab.call("Emulation.setEmulatedMedia", features=feature)
    names = ["ink", "quiet", "mixture", "estimate", "target", "oracle", "difference"]
    script = f"""(() => {{
      const style = getComputedStyle(document.documentElement);
      return [{json.dumps(names)}, ["card", "ground"]]
        .map((names) => names.map((name) => style.getPropertyValue(`--${{name}}`).trim()));
    }})()"""
    inks, grounds = tab.run(script)
    for name, ink in zip(names, inks, strict=True):
        least = 4.5 if name in ("ink", "quiet") else 3.0  # WCAG 2.2: text, and what is drawn
        assert min(contrast(ink, ground) for ground in grounds) >= least, (name, ink)


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_it_is_printed_without_what_cannot_be_used_on_paper(tab):
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.querySelector('.play')).display") == "none"
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(base64.b64decode(tab.call("Page.printToPDF")["data"])) > 10_000


def test_a_notebook_shows_a_player_in_a_frame_of_its_own(browser, tmp_path):
    a, b, _ = waves()
    shown = unmask.play({"first": a, "second": b}, RATE)._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><title>n</title>{shown}", "utf-8")
    browser.complaints.clear()
    tab = browser.tab(browser.visitor(), "about:blank")
    tab.go((tmp_path / "notebook.html").as_uri())
    told = []
    for _ in range(600):
        if "Play" in told:
            break
        frames = [
            t for t in browser.call("Target.getTargets")["targetInfos"] if t["type"] == "iframe"
        ]
        if frames:
            told = told_in(browser, frames[0]["targetId"])
    assert {"Play", "Position", "Waveform: second"} <= set(told)
    assert browser.complaints == []


def told_in(browser, target):
    """Names in a frame, which has a process of its own."""
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    tree = browser.call("Accessibility.getFullAXTree", session)
    return [node.get("name", {}).get("value") for node in tree["nodes"]]


ASSETS = Path(__file__).parents[1] / "assets"


@pytest.mark.parametrize(("model", "folder"), [("music", "music"), ("denoise-16k", "demo")])
def test_reports_of_the_bundled_recordings_open(browser, tmp_path, model, folder):
    page, truth = tmp_path / "report.html", ASSETS / folder
    words = ["report", truth / "mixture.flac", "--reference", truth, "-m", model, "--seconds", 3]
    result = CliRunner().invoke(main, [*map(str, words), "-q", "-o", str(page)])
    assert result.exit_code == 0, result.output
    tab = opened(browser, page)
    assert [image for image in images_of(tab) if not image["width"]] == []
    score = tab.run("document.querySelector('.name[data-kind=estimate] .score').textContent")
    assert float(score.split()[1].replace("−", "-")) > 5
    assert browser.complaints == []
