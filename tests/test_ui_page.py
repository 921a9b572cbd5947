"""The page of `unmask ui` in Chromium: files are dropped, stems heard, mixed, downloaded."""

import json

import numpy as np
import pytest

from browser import CHROMIUM, Browser
from unmask import audio

pytest.importorskip("starlette")

from local_page import SMALL, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

RATE = 16000
READY = "document.documentElement.dataset.ready"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def client():
    with served([SMALL, "music"]) as client:
        yield client


@pytest.fixture
def tab(browser, client):
    for job in list(client.desk._jobs.values()):
        client.ask("POST", f"api/jobs/{job.id}/stop")
        client.wait(job.id)
        client.ask("POST", f"api/jobs/{job.id}/remove")
    browser.complaints.clear()
    tab = browser.tab(browser.visitor(), "about:blank")
    tab.desktop()
    tab.go(client.url)
    tab.until("document.documentElement.dataset.begun")
    return tab


@pytest.fixture
def song(tmp_path):
    return write(tmp_path / "take &lt;b&gt; é.wav", 2)


def write(path, seconds, n_channels=2):
    noise = np.random.default_rng(3).standard_normal((n_channels, 2 * RATE))
    audio.write(path, np.tile(0.1 * noise, seconds // 2), RATE)
    return path


def drop(tab, *paths):
    """Drop files on the page, as from the desktop."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tab.call("Input.dispatchDragEvent", type=kind, x=300, y=500, data=data)


def choose(tab, selector, value):
    """Choose an option as a key does, which headless Chromium shows no list for."""
    tab.run(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
      e.value = {json.dumps(value)}; e.dispatchEvent(new Event("change")); }})()""")


def with_rest(tab):
    tab.click(".masks summary")
    tab.click(".fields > div:last-child input")


def heard(tab):
    return tab.run("document.querySelector('.option:has(:checked) span').textContent")


def errors(tab):
    return tab.run("[...document.querySelectorAll('.error')].map((e) => e.textContent)")


def test_a_song_is_dropped_heard_mixed_and_downloaded(tab, browser, client, song):
    assert "MIT" in tab.run("document.querySelector('.licence').textContent")
    choose(tab, "#model", "music")
    licence = tab.run("document.querySelector('.licence').textContent")
    assert licence == "Licence of the model: CC-BY-NC-SA-4.0 – not for commercial use"
    choose(tab, "#model", SMALL)
    with_rest(tab)
    drop(tab, song)
    tab.until(READY)
    names = tab.run("[...document.querySelectorAll('.option > span')].map((e) => e.textContent)")
    assert names == ["mixture", "speech", "noise", "mix"]
    pictures = "[...document.querySelectorAll('.picture img')]"
    tab.until(f"{pictures}.every((e) => e.complete)")
    assert tab.run(f"{pictures}.map((e) => e.naturalHeight)") == [200] * 5
    tab.click(".play")
    tab.until("document.documentElement.dataset.playing === 'true'")
    tab.until("Number(document.querySelector('.line input[type=range]').value) > 0.05")
    for key, name in (("2", "speech"), ("3", "noise"), ("1", "mixture"), ("4", "mix")):
        tab.press(key)
        assert heard(tab) == name
        assert tab.run("document.documentElement.dataset.playing") == "true"
    tab.click(".name")
    assert heard(tab) == "mixture"
    tab.run("document.querySelector('[data-stem=noise]').focus()")
    tab.press("ArrowLeft")  # the mixer is heard when it is moved
    assert heard(tab) == "mix"
    assert tab.run("document.querySelector('[data-stem=noise]').ariaValueText") == "−0.5 dB"
    tab.click("#export")
    tab.until("document.querySelectorAll('.jobs [data-state=done]').length === 2")
    tab.until("document.getElementById('spoken').textContent.includes('done in')")
    [remix] = [one for one in client.desk.all_said() if one["remix"]]
    assert remix["asked"]["settings"]["gains_db"] == {"speech": 0, "noise": -0.5}
    links = tab.run("[...document.querySelectorAll('.files a')].map((e) => e.href)")
    job = next(one for one in client.desk.all_said() if not one["remix"])
    assert [link.removeprefix(client.url) for link in links] == [
        f"api/jobs/{job['id']}/files/{stem}" for stem in ("speech", "noise")
    ]
    written = client.desk.job(job["id"]).files()["speech"].read_bytes()
    assert tab.run(f"fetch('{links[0]}').then((r) => r.arrayBuffer()).then((b) => b.byteLength)")
    assert client.get(links[0].removeprefix(client.url)) == written
    assert "&lt;b&gt;" in tab.run("document.querySelector('#opened h2').textContent")
    assert browser.complaints == []


def test_a_job_can_be_stopped_and_a_bad_file_is_one_line_and_others_go_on(tab, song, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound" * 100)
    long = write(tmp_path / "long.wav", 900)
    drop(tab, long, bad)
    tab.until("!!document.querySelector('.jobs [data-state=running] progress')")
    tab.until("!!document.querySelector('.jobs [data-state=failed]')")
    [line] = [text for text in errors(tab) if text]
    assert line.startswith("bad.wav: ")
    assert "/" not in line.split(";")[0].removeprefix("bad.wav: ")
    tab.until(
        "document.querySelector('.jobs [data-state=running] .state')?.textContent.endsWith('%')"
    )
    tab.click(".jobs [data-state=running] button:not([hidden])")
    tab.until("!!document.querySelector('.jobs [data-state=stopped]')")
    drop(tab, song)
    tab.until(READY)
    tab.until("document.getElementById('spoken').textContent.includes('done in')")


CONTROLS = {"button", "radio", "checkbox", "slider", "spinbutton", "combobox", "link", "listbox"}


def test_all_controls_have_names_fit_a_phone_and_work_with_keys_alone(tab, client, song):
    tab.phone(width=320)
    with_rest(tab)
    drop(tab, song)
    tab.until(READY)
    assert tab.run("document.scrollingElement.scrollWidth <= innerWidth")
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    controls = [one for one in tree if one.get("role", {}).get("value") in CONTROLS]
    assert len(controls) >= 25
    unnamed = [one for one in controls if not one["name"]["value"].strip()]
    assert unnamed == []
    size = "(e) => Math.round(e.getBoundingClientRect().height)"
    buttons = (
        f"[...document.querySelectorAll('main button:not(.small)')].map({size}).filter(Boolean)"
    )
    assert min(tab.run(buttons)) >= 44
    tab.desktop()
    for selector, key in ((".play", "Enter"), ("#again", "Enter")):
        for _ in range(60):
            if tab.run(f"document.activeElement.matches('{selector}')"):
                break
            tab.press("Tab")
        assert tab.run(f"document.activeElement.matches('{selector}')")
        tab.press(key)
        if selector == ".play":
            tab.until("document.documentElement.dataset.playing === 'true'")
            tab.press("Enter")
            tab.until("document.documentElement.dataset.playing === 'false'")
            tab.run("document.querySelector('#files').focus()")
    tab.until("document.querySelectorAll('.jobs [data-state=done]').length === 2")


MIX = """(async () => {
  const { Player } = await import("./static/listen/page/player.js");
  const n = 4800, rate = 48000;
  const context = new OfflineAudioContext(1, n, rate);
  const buffers = [1, 2, 4].map((value) => {
    const buffer = new AudioBuffer({ length: n, sampleRate: rate });
    buffer.copyToChannel(new Float32Array(n).fill(value / 16), 0); return buffer; });
  const player = new Player(context, buffers);
  player.start(0, 0);
  player.select(null, 0.03);
  player.setLevels([0, 1, 0.5], 0.03);
  return context.startRendering().then((found) => [...found.getChannelData(0)]);
})()"""


def test_a_mix_is_the_sum_of_all_sounds_with_their_levels(tab):
    found = np.array(tab.run(MIX))
    np.testing.assert_allclose(found[240:1440], 1 / 16, atol=1e-6)
    np.testing.assert_allclose(found[1680:], (2 + 0.5 * 4) / 16, atol=1e-6)
