"""The front-end for browsers: its samples are those of the Python package.

The JavaScript needs Node; networks under ONNX Runtime Web need ``npm ci --prefix web`` as well, and
the page needs Chromium. ``make web-test`` has all of it.
"""

import queue
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import onnx_models
from unmask import audio
from unmask.engine.model import bundled, load_model

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


def frontend(n_fft, hop, window="sqrt_hann"):
    return {"kind": "stft", "n_fft": n_fft, "hop": hop, "window": window}


def mask(family, **options):
    return {"family": family, "options": options}


def half(path):
    """Write a model with weights in half precision."""
    pytest.importorskip("torch")
    onnx = pytest.importorskip("onnx")
    from unmask.export import halve

    model = onnx.load(onnx_models.recurrent(path, n_maps=2))
    halve(model.graph)
    onnx.save(model, path)
    return path


MODELS = {
    "ahead": partial(
        onnx_models.recurrent, n_maps=2, lookahead_frames=3, frontend=frontend(60, 15, "hann")
    ),
    "hybrid": partial(onnx_models.recurrent, n_maps=2, mask=mask("hybrid:complex:3000:irm1")),
    "stems": partial(
        onnx_models.recurrent,
        n_maps=1,
        stems=["a", "b", "c"],
        mask=mask("iam_clip2", limit=1.5),
        task="separate",
    ),
    "half": half,
    "chunks": partial(onnx_models.hourglass, n_maps=2, frontend=frontend(32, 16)),
}


def in_node(folder, path, mixture, *block):
    """Separate with Node: array (stem, channel, sample), the residual last."""
    mixture.tofile(folder / "in.f32")
    files = [path, folder / "in.f32", folder / "out.f32", len(mixture), *block]
    command = [NODE, WEB / "separate.mjs", *files]
    subprocess.run(list(map(str, command)), check=True, timeout=300)
    return np.fromfile(folder / "out.f32", np.float32).reshape(-1, *mixture.shape)


def in_python(path, mixture):
    model = load_model(path)
    return np.stack(list(model.separate(mixture, model.sample_rate, residual=True).values()))


@needs_node
@needs_runtime
@pytest.mark.parametrize("name", MODELS)
def test_networks_of_every_kind_give_the_samples_of_the_python_package(name, tmp_path, rng):
    path = MODELS[name](tmp_path / "model.onnx")
    mixture = rng.standard_normal((2, 1537)).astype(np.float32)
    expected = in_python(path, mixture)
    block = [101] if name != "hybrid" else []
    actual = in_node(tmp_path, path, mixture, *block)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@needs_node
@needs_runtime
@pytest.mark.parametrize("name", bundled())
def test_every_bundled_model_gives_the_samples_of_the_python_package(name, tmp_path, rng):
    mixture = (0.1 * rng.standard_normal((2, 5000))).astype(np.float32)
    expected = in_python(bundled()[name], mixture)
    assert expected[0].std() > 0.01  # or zeros would do
    actual = in_node(tmp_path, bundled()[name], mixture, 777)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


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
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    browsers = []

    def visit(page, **files):
        pages["/web/test-page"] = page.encode()
        pages.update({f"/web/{name}.f32": array.tobytes() for name, array in files.items()})
        url = f"http://127.0.0.1:{server.server_port}/web/test-page"
        browsers.append(
            subprocess.Popen([*command, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        results = {}
        while "/done" not in results:
            path, body = posted.get(timeout=180)
            results[path] = body
        assert not results["/done"], results["/done"].decode()
        return results

    yield visit
    for browser in browsers:
        browser.terminate()
        browser.wait(30)
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


def test_every_bundled_model_is_one_that_the_page_can_run():
    """Its window and mask family are known to the JavaScript."""
    known = "".join((WEB / name).read_text("utf-8") for name in ("masks.js", "unmask.js"))
    for path in bundled().values():
        metadata = load_model(path).metadata
        words = [metadata["frontend"]["window"].removeprefix("sqrt_")]
        family = metadata["mask"]["family"]
        words += family.split(":")[1::2] if family.startswith("hybrid:") else [family]
        assert [word for word in words if f"{word}:" not in known] == []
