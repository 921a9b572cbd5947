"""Chromium as a listener uses it: real clicks and keys, over the pipe of its DevTools protocol."""

import base64
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_QUIET = ("background-networking", "component-update", "sync", "gpu", "dev-shm-usage")
#: Chromium reads commands from file 3 and writes to file 4.
_AS_3_AND_4 = """
import os, sys
for number, high in zip(sys.argv[1:3], (100, 101)):
    os.dup2(int(number), high, inheritable=False)
os.dup2(100, 3), os.dup2(101, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE_S = 60


class Browser:
    """One process; every `visitor` has cookies and storage of its own."""

    def __init__(self, profile):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            *(sys.executable, "-c", _AS_3_AND_4, str(theirs_in), str(theirs_out), CHROMIUM),
            *("--headless", "--no-sandbox", "--no-first-run", "--mute-audio"),
            *(f"--disable-{feature}" for feature in _QUIET),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}"),
        ]
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._waiting, self._lock, self._number = {}, threading.Lock(), 0
        self.complaints = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with os.fdopen(self._in, "rb") as pipe:
            held = b""
            while part := pipe.read1(1 << 16):
                *whole, held = (held + part).split(b"\0")
                for message in map(json.loads, whole):
                    if (answer := self._waiting.pop(message.get("id"), None)) is not None:
                        answer.put(message)
                    elif message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                        self.complaints.append(message["params"])

    def call(self, method, session=None, **parameters):
        """Send a command and return its result."""
        answer = queue.Queue()
        with self._lock:
            self._number += 1
            self._waiting[self._number] = answer
            message = {"id": self._number, "method": method, "params": parameters}
            message |= {"sessionId": session} if session else {}
            os.write(self._out, json.dumps(message).encode() + b"\0")
        result = answer.get(timeout=PATIENCE_S)
        assert "error" not in result, f"{method}: {result['error']}"
        return result["result"]

    def visitor(self):
        return self.call("Target.createBrowserContext")["browserContextId"]

    def tab(self, visitor, url):
        made = self.call("Target.createTarget", url="about:blank", browserContextId=visitor)
        flat = self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        page = Tab(self, flat["sessionId"])
        page.call("Page.enable")
        for domain in ("Network", "Log", "Runtime"):
            page.call(f"{domain}.enable")
        page.go(url)
        return page

    def close(self):
        self.call("Browser.close")
        self._process.wait(30)
        os.close(self._out)
        self._reader.join(30)


class Tab:
    def __init__(self, browser, session):
        self._browser, self._session = browser, session

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def run(self, expression):
        """Evaluate JavaScript, waiting for promises."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression, patience_s=PATIENCE_S):
        """Wait until an expression is true."""
        end = time.monotonic() + patience_s
        while True:
            try:
                if found := self.run(expression):
                    return found
            except AssertionError:  # between two documents
                if time.monotonic() > end:
                    raise
            shown = "document.body?.innerText"
            assert time.monotonic() < end, f"never {expression}; shown: {self.run(shown)}"
            time.sleep(0.02)

    def text(self):
        return self.run("document.body.innerText")

    def heading(self, text):
        self.until(f"document.querySelector('h1')?.textContent.includes({json.dumps(text)})")

    def _centre(self, selector):
        """Wait until an element can be clicked, and say where it is."""
        return self.until(
            f"""(() => {{
              const e = document.querySelector({json.dumps(selector)});
              if (!e || e.disabled) return null;
              e.scrollIntoView({{block: "center"}});
              const r = e.getBoundingClientRect();
              return [r.left + r.width / 2, r.top + r.height / 2];
            }})()"""
        )

    def click(self, selector, count=1):
        x, y = self._centre(selector)
        for k in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                button = {"button": "left", "clickCount": k, "x": x, "y": y}
                self.call("Input.dispatchMouseEvent", type=kind, **button)

    def press(self, key):
        named = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        number = {"windowsVirtualKeyCode": named.get(key, ord(key[0].upper()))}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **number, **text)

    def go(self, url):
        self.call("Page.navigate", url=url)

    def reload(self):
        self.call("Page.reload")

    def back(self):
        history = self.call("Page.getNavigationHistory")
        entry = history["entries"][history["currentIndex"] - 1]
        self.call("Page.navigateToHistoryEntry", entryId=entry["id"])

    def offline(self, is_offline):
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=is_offline, **conditions)

    def phone(self, width=390):
        size = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)

    def desktop(self):
        size = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def dark(self):
        feature = [{"name": "prefers-color-scheme", "value": "dark"}]
        self.call("Emulation.setEmulatedMedia", features=feature)

    def picture(self, path):
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
