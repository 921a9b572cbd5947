"""The front-end for browsers: its samples are those of the Python package.

The JavaScript needs Node; networks under ONNX Runtime Web need ``npm ci --prefix web`` as well, and
the page needs Chromium. ``make web-test`` has all of it.
"""

import json
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import model_files
from unmask import audio, masks
from unmask.engine.model import bundled, load_model
from unmask.errors import ShapeError

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_node = pytest.mark.skipif(NODE is None, reason="no Node here")
needs_runtime = pytest.mark.skipif(
    not (WEB / "node_modules" / "onnxruntime-web").is_dir(),
    reason="no onnxruntime-web here (npm ci --prefix web)",
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@needs_node
def test_the_front_end_keeps_its_laws():
    """The transform, the framing, the reader of metadata: no network is run (web/*.test.mjs)."""
    subprocess.run([NODE, "--test", *map(str, WEB.glob("*.test.mjs"))], check=True, timeout=300)


STEREO = {"channels": 2, "stems": ["a", "b"]}
HOPS = model_files.SpectrumConfig(n_fft=128, hop=55, window="hann")
AHEAD = {"backbone": "band_net", "net": {"lookahead": 3}}
DEEP_FILTER = ("deep_filter", {"options": {"order": 4, "lookahead": 2}} | AHEAD)
# What a file is, in one word -> mask family and what else is not as in all of them.
MODELS = {
    "ahead": ("complex", {"frontend": HOPS} | AHEAD),
    "ahead by less than its network": DEEP_FILTER,
    "stems": (
        "iam_clip2",
        {"options": {"limit": 1.5}, "stems": ["a", "b", "c"], "task": "separate"},
    ),
    "half": ("complex_tanh", {"weights": "float16"}),
    "chunks": ("complex_tanh", {"backbone": "unet"}),
    "joint": ("complex_tanh", STEREO),
    "joint filter": ("hybrid:deep_filter:2000:psm_unit", STEREO),
    "learned": ("irm1", {"frontend": model_files.LEARNED, "stems": ["a", "b"]}),
    "joint learned": ("iam", {"frontend": model_files.LEARNED} | STEREO),
}
LEVEL = {"level": {"rms": 0.1, "seconds": 0.05}}
SLOW_STEM = {"slow_terms": 1, "stems": ["a", "b"], "slow_stem": "b", "residual": None}
MODELS |= {
    "one level": ("complex", {"slow_terms": 2} | LEVEL),
    "joint, no residual": ("consistent:complex", STEREO | LEVEL | SLOW_STEM),
    "joint, one level": ("complex_tanh", {"slow_terms": 1} | LEVEL | STEREO),
    "chunks, one level": ("complex_tanh", {"backbone": "unet"} | LEVEL),
    "learned, one level": ("irm1", {"frontend": model_files.LEARNED, "stems": ["a", "b"]} | LEVEL),
}
FAMILIES = [
    *masks.names(),
    "hybrid:complex:3000:irm1",
    "hybrid:deep_filter:2000:psm_unit",
    "hybrid:irm1:5000:decoupled",
    "consistent:complex_tanh",
    "consistent:hybrid:complex:3000:irm1",
]


def in_node(folder, path, mixture, *block):
    """Separate with Node: array (stem, channel, sample), the residual last."""
    mixture.tofile(folder / "in.f32")
    files = [path, folder / "in.f32", folder / "out.f32", len(mixture), *block]
    command = [NODE, WEB / "separate.mjs", *files]
    subprocess.run([*map(str, command)], check=True, timeout=300, text=True, stderr=subprocess.PIPE)
    return np.fromfile(folder / "out.f32", np.float32).reshape(-1, *mixture.shape)


def in_python(path, mixture):
    model = load_model(path)
    return np.stack(list(model.separate(mixture, model.sample_rate, residual=True).values()))


def check_same(folder, path, mixture, *block):
    """Compare what Node makes of a mixture with what Python does."""
    expected = in_python(path, mixture)
    assert all(np.std(stem) > 1e-3 for stem in expected[:-1])  # or zeros would do
    actual = in_node(folder, path, mixture, *block)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@needs_node
@needs_runtime
@pytest.mark.parametrize("family", FAMILIES)
def test_masks_of_every_family_are_applied_as_in_python(family, tmp_path, rng):
    path = model_files.write(tmp_path / "model.onnx", family, stems=["a", "b"])
    mixture = rng.standard_normal((1, 801)).astype(np.float32)
    check_same(tmp_path, path, mixture)


@needs_node
@needs_runtime
@pytest.mark.parametrize(
    ("name", "n_channels"),
    [*((name, 2) for name in MODELS), ("joint filter", 1), ("joint learned", 1)],
)
def test_networks_of_every_kind_give_the_samples_of_python(name, n_channels, tmp_path, rng):
    family, changes = MODELS[name]
    path = model_files.write(tmp_path / "model.onnx", family, **changes)
    mixture = rng.standard_normal((n_channels, 1537)).astype(np.float32)
    check_same(tmp_path, path, mixture, 101)


@needs_node
@needs_runtime
@pytest.mark.parametrize("name", [name for name in bundled() if not load_model(name).segment])
def test_every_bundled_model_gives_the_samples_of_the_python_package(name, tmp_path, rng):
    mixture = (0.1 * rng.standard_normal((2, 5000))).astype(np.float32)
    check_same(tmp_path, bundled()[name], mixture, 777)


@needs_node
@needs_runtime
def test_numbers_of_channels_are_refused_with_the_sentence_of_python(tmp_path):
    path = model_files.write(tmp_path / "model.onnx", **STEREO)
    mixture = np.zeros((3, 100), np.float32)
    with pytest.raises(ShapeError) as refused:
        in_python(path, mixture)
    with pytest.raises(subprocess.CalledProcessError) as error:
        in_node(tmp_path, path, mixture)
    assert f"UnmaskError: {refused.value}" in error.value.stderr


class Site(SimpleHTTPRequestHandler):
    """Serves the repository, the pages of a test, and takes what they post."""

    def __init__(self, *arguments, pages, posted, **options):
        self.pages, self.posted = pages, posted
        super().__init__(*arguments, directory=ROOT, **options)

    def do_GET(self):
        if self.path not in self.pages:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.pages[self.path])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.put((self.path, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def visit(tmp_path):
    """Open a page in Chromium, beside it `files`; return what it posts, by path."""
    pages, posted = {}, queue.Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, pages=pages, posted=posted))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    quiet = ["background-networking", "component-update", "sync", "gpu", "dev-shm-usage"]
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", "--mute-audio"),
        *(f"--disable-{feature}" for feature in quiet),
    ]
    browsers = []

    def stop():
        for browser in browsers:
            browser.terminate()
            browser.wait(30)
        browsers.clear()

    def visit(page, *options, **files):
        stop()
        # Of its own: a profile that another Chromium has had may still be locked.
        own = [*options, f"--user-data-dir={tempfile.mkdtemp(prefix='profile', dir=tmp_path)}"]
        pages["/web/test-page"] = page.encode()
        pages.update({f"/web/{name}.f32": array.tobytes() for name, array in files.items()})
        url = f"http://127.0.0.1:{server.server_port}/web/test-page"
        browsers.append(
            subprocess.Popen(
                [*command, *own, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        results = {}
        while "/done" not in results:
            path, body = posted.get(timeout=300)
            results[path] = body
        assert not results["/done"], results["/done"].decode()
        return results

    yield visit
    stop()
    server.shutdown()
    thread.join()
    server.server_close()


# Posts the samples; at the end nothing, or what went wrong.
LIBRARY_PAGE = """<!doctype html><script type="module">
const post = (path, body) => fetch(path, {method: "POST", body});
try {
  const ort = await import("./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs");
  const { loadModel } = await import("./unmask.js");
  ort.env.wasm.numThreads = 1;
  const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  const model = await loadModel(ort, await bytes("../src/unmask/models/denoise-16k.onnx"));
  const mixture = new Float32Array((await bytes("mixture.f32")).buffer);
  const { speech } = await model.separate([mixture], 16000);
  await post("/speech", speech[0]);
  await post("/done", "");
} catch (error) { await post("/done", `${error.stack ?? error}`); }
</script>"""

# Clicks through the demonstration and posts the WAV file that it offers.
DEMO_PAGE = """<!doctype html><iframe src="index.html"></iframe><script type="module">
const post = (path, body) => fetch(path, {method: "POST", body});
const frame = document.querySelector("iframe");
await new Promise((resolve) => frame.onload = resolve);
const page = frame.contentDocument;
const recording = await (await fetch("../assets/demo/mixture.flac")).blob();
const transfer = new DataTransfer();
transfer.items.add(new File([recording], "mixture.flac"));
page.getElementById("recording").files = transfer.files;
page.getElementById("recording").dispatchEvent(new Event("change"));
const timer = setInterval(async () => {
  const error = page.getElementById("error").textContent;
  const links = [...page.querySelectorAll("a[download]")];
  if (!error && links.length < 3) return;
  clearInterval(timer);
  for (const link of links) await post(`/${link.download}`, await (await fetch(link.href)).blob());
  await post("/done", error);
}, 100);
</script>"""


# Separates what a microphone hears; posts what went in and what came out, sample by sample.
LIVE_PAGE = """<!doctype html><script type="module">
const post = (path, body) => fetch(path, {method: "POST", body});
const SECONDS = 4;
const code = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([before, after]) {
    const silence = new Float32Array(128);
    this.port.postMessage([before[0] ?? silence, after[0] ?? silence]);
    return true;
  }
});`;
try {
  const { startLive } = await import("./live.js");
  const bytes = await (await fetch("../src/unmask/models/denoise-16k.onnx")).arrayBuffer();
  let nLate = 0;
  const onReport = (report) => { if (report.error) throw report.error; nLate = report.nLate; };
  // A machine that is busy with other tests may be late, but not often by seconds.
  // Nothing is heard before all is connected, so that both begin with the same sample.
  const context = new AudioContext({ sampleRate: 16000 });
  await context.suspend();
  const options = { slack: 3, onReport, context: () => context };
  const live = await startLive(new Uint8Array(bytes), options);
  const { node } = live;
  const exact = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: exact });
  const module = new Blob([code], { type: "text/javascript" });
  await context.audioWorklet.addModule(URL.createObjectURL(module));
  const recorder = new AudioWorkletNode(context, "recorder", { numberOfInputs: 2 });
  const heard = [], given = [];
  const done = new Promise((resolve) => recorder.port.onmessage = ({ data: [before, after] }) => {
    heard.push(before);
    given.push(after);
    if (128 * heard.length >= SECONDS * context.sampleRate + live.delay) resolve();
  });
  const source = context.createMediaStreamSource(stream);
  source.connect(node).connect(recorder, 0, 1);
  source.connect(recorder, 0, 0);
  recorder.connect(context.destination);
  await context.resume();
  await done;
  await post("/heard", new Blob(heard));
  await post("/given", new Blob(given));
  await post("/told", JSON.stringify({ delay: live.delay, rate: context.sampleRate, nLate }));
  await live.close();
  await post("/done", "");
} catch (error) { await post("/done", `${error.stack ?? error}`); }
</script>"""

# Presses the button of the demonstration, waits for its second report, presses it again.
BUTTON_PAGE = """<!doctype html><iframe src="index.html" allow="microphone"></iframe>
<script type="module">
const post = (path, body) => fetch(path, {method: "POST", body});
const frame = document.querySelector("iframe");
await new Promise((resolve) => frame.onload = resolve);
const page = frame.contentDocument;
const [button, text] = [page.getElementById("live"), (id) => page.getElementById(id).textContent];
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
};
button.click();
const seen = new Set();
await until(() => seen.add(text("status")).size >= 4 || text("error"));
await post("/status", text("status"));
await post("/label", button.textContent);
button.click();
await post("/after", text("status") + button.textContent);
await post("/done", text("error"));
</script>"""

# Chooses models, drops a recording on the page, and listens.
PLAYER_PAGE = """<!doctype html><iframe src="index.html"></iframe><script type="module">
const post = (path, body) => fetch(path, {method: "POST", body});
const frame = document.querySelector("iframe");
await new Promise((resolve) => frame.onload = resolve);
const page = frame.contentDocument;
const text = (id) => page.getElementById(id).textContent;
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
};
const choose = (name) => {
  page.getElementById("bundled").value = name;
  page.getElementById("bundled").dispatchEvent(new Event("change"));
};
await until(() => text("licence"));
await post("/licence", text("licence"));
choose("music");
await until(() => text("licence").includes("NC"));
await post("/music", text("licence"));
choose("denoise-16k");
const transfer = new frame.contentWindow.DataTransfer();
const recording = await (await fetch("../assets/demo/mixture.flac")).blob();
transfer.items.add(new File([recording], "mixture.flac"));
page.dispatchEvent(new frame.contentWindow.DragEvent("drop", { dataTransfer: transfer }));
await until(() => page.querySelectorAll("a[download]").length === 3 || text("error"));
const button = page.querySelector(".transport button");
button.click();
await until(() => button.textContent === "Pause");
page.querySelectorAll("input[name=heard]")[1].click();
await until(() => page.querySelector(".transport input").value > 0.1);
const heard = page.querySelector("input[name=heard]:checked").parentElement.textContent;
button.click();
await until(() => button.textContent === "Play");
await post("/heard", heard);
await post("/done", text("error"));
</script>"""

# What a policy of a page forbids is reported by the browser; here it is collected.
POLICY_PAGE = """<!doctype html><iframe src="index.html"></iframe><script type="module">
const post = (path, body) => fetch(path, {method: "POST", body});
const frame = document.querySelector("iframe");
await new Promise((resolve) => frame.onload = resolve);
const [page, view] = [frame.contentDocument, frame.contentWindow];
const refused = [];
page.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
const ran = new Promise((resolve) => setTimeout(() => resolve("script" in view), 500));
const inline = page.createElement("script");
inline.textContent = "window.script = 1";
page.body.append(inline);
const elsewhere = await view.fetch("https://example.invalid/").then(() => "sent", () => "refused");
const evaluated = await new Promise((resolve) => {
  try { view.eval("1"); resolve("evaluated"); } catch { resolve("refused"); }
});
await post("/found", JSON.stringify({ ran: await ran, elsewhere, evaluated, refused }));
await post("/done", "");
</script>"""


@pytest.fixture(scope="module")
def mixture():
    samples, sample_rate = audio.read(ROOT / "assets" / "demo" / "mixture.flac")
    assert sample_rate == 16000
    return samples


@needs_chromium
@needs_runtime
def test_a_browser_separates_a_recording_as_python_does(visit, mixture):
    results = visit(LIBRARY_PAGE, mixture=mixture)
    speech = np.frombuffer(results["/speech"], np.float32)
    expected = load_model("denoise-16k").separate(mixture, 16000)["speech"][0]
    np.testing.assert_allclose(speech, expected, rtol=0, atol=1e-4)
    assert np.abs(speech).max() > 0.1


@needs_chromium
@needs_runtime
def test_the_page_offers_the_stems_of_a_chosen_file(visit, mixture, tmp_path):
    offered = {}
    for path, content in visit(DEMO_PAGE).items():
        (tmp_path / path[1:]).write_bytes(content)
        if path.endswith(".wav"):
            offered[path], sample_rate = audio.read(tmp_path / path[1:])
            assert sample_rate == 16000
    # Chromium decodes 16-bit samples with another full scale above zero than below it.
    np.testing.assert_allclose(offered["/mixture.wav"], mixture, rtol=0, atol=1e-4)
    expected = load_model("denoise-16k").separate(offered["/mixture.wav"], 16000, residual=True)
    assert offered.keys() == {"/mixture.wav", *(f"/{stem}.wav" for stem in expected)}
    for stem, samples in expected.items():
        np.testing.assert_allclose(offered[f"/{stem}.wav"], samples, rtol=0, atol=1e-4)


MICROPHONE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
MICROPHONE += ["--autoplay-policy=no-user-gesture-required"]


@needs_chromium
@needs_runtime
def test_what_a_microphone_hears_is_separated_live_as_a_file_is(visit, mixture, tmp_path):
    rate = 48000  # of the fake microphone; the browser resamples
    sound = audio.resample(mixture, 16000, rate)
    audio.write(tmp_path / "heard.wav", sound, rate)
    capture = f"--use-file-for-fake-audio-capture={tmp_path / 'heard.wav'}%noloop"
    for _ in range(3):  # samples that were late are silent: then nothing can be compared
        results = visit(LIVE_PAGE, *MICROPHONE, capture)
        told = json.loads(results["/told"])
        if told["nLate"] == 0:
            break
    assert (told["rate"], told["nLate"]) == (16000, 0)
    heard, given = (np.frombuffer(results[name], np.float32) for name in ("/heard", "/given"))
    assert np.abs(heard).max() > 0.1
    expected = load_model("denoise-16k").separate(heard[None], 16000)["speech"][0]
    n_whole = 3 * 16000  # after it, what is to come may still be missing
    start = told["delay"]
    assert not given[:start].any()
    separated = given[start : start + n_whole]
    np.testing.assert_allclose(separated, expected[:n_whole], rtol=0, atol=1e-4)


@needs_chromium
@needs_runtime
def test_the_page_separates_a_microphone_until_it_is_told_to_stop(visit):
    results = visit(BUTTON_PAGE, *MICROPHONE)  # it hears the beeps of a fake microphone
    assert re.match(rb"denoise-16k: speech 9\d ms behind what is heard", results["/status"])
    assert results["/label"] == b"Stop"
    assert results["/after"] == b"Separate the microphone live"


@needs_chromium
@needs_runtime
def test_the_page_says_licences_takes_what_is_dropped_and_switches_what_is_heard(visit):
    results = visit(PLAYER_PAGE, "--autoplay-policy=no-user-gesture-required")
    assert results["/done"] == b""
    assert results["/licence"].startswith(b"Licence of the model: MIT")
    assert results["/music"].startswith(b"Licence of the model: CC-BY-NC-SA-4.0")
    assert results["/heard"].strip() == b"speech"


@needs_chromium
@needs_runtime
def test_the_page_runs_no_foreign_script_and_asks_no_other_host(visit):
    found = json.loads(visit(POLICY_PAGE)["/found"])
    assert (found["ran"], found["elsewhere"], found["evaluated"]) == (False, "refused", "refused")
    assert {"script-src-elem", "connect-src"} <= set(found["refused"])
