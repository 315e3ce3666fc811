"""Look at the site in a real browser: `make docs-look` (needs Chromium, and `make docs` before).

Takes pictures of all pages, wide and narrow, light and dark, into docs/site/look, and tries the search. Ends
with status 1 if there is anything to complain of: an error on the browser's console, a page that fails to
load, one that is wider than its window or in the wrong colours, code or a table that is cut off where the
page is wide, text that hardly differs from what is behind it, a search that finds nothing.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import http.server
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

SITE = Path(__file__).parent / "site"
SIZES = {"wide": (1280, 900), "narrow": (400, 800)}
SCHEMES = ["light", "dark"]
OPTIONS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync
--remote-debugging-port=0 about:blank""".split()
PATIENCE = 30.0


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Browser:
    """A page of Chromium, by its debugging protocol."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.events: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method, and note what happens until its answer."""
        number = next(self.numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        await self.connection.write_message(json.dumps(message))
        while True:
            message = await self.read()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result

    async def read(self) -> dict[str, Any]:
        """Take the next message."""
        text = await asyncio.wait_for(self.connection.read_message(), PATIENCE)
        if text is None:
            raise RuntimeError("the browser has gone")
        message: dict[str, Any] = json.loads(text)
        method, parameters = message.get("method", ""), message.get("params", {})
        self.events.append(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([part.get("value") for part in parameters["args"]]))
        return message

    async def open(self, address: str) -> None:
        """Open a page, and wait until it is there."""
        self.events.clear()
        await self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            await self.read()

    async def ask(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    async def picture(self, path: Path) -> None:
        """Take a picture of the whole page."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16_000), "scale": 1}
        shot = await self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


async def look(endpoint: str, address: str, folder: Path) -> list[str]:
    """Look at the pages, and say what is wrong."""
    browser = Browser(await websocket_connect(endpoint, max_message_size=1 << 28))
    for domain in ("Page", "Runtime", "Log"):
        await browser.call(f"{domain}.enable")
    await browser.call("Page.addScriptToEvaluateOnNewDocument", source=FORGET)
    for (size, (width, height)), scheme in itertools.product(SIZES.items(), SCHEMES):
        await browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == "narrow",
        )
        await browser.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        await browser.open(address)  # the page that is open when the colours change does not count
        pages = [path.parent.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("index.html"))]
        for page in [f"{page}/".removeprefix("./") for page in pages]:
            await browser.open(address + page)
            name = page.strip("/").replace("/", "-") or "start"
            await browser.picture(folder / f"{name}-{size}-{scheme}.png")
            actual = await browser.ask("document.documentElement.scrollWidth")
            if actual > width:
                browser.complaints.append(f"{page} is {actual} pixels wide in a window of {width}")
            colours = await browser.ask("document.body.getAttribute('data-md-color-scheme')")
            if colours != ("default" if scheme == "light" else "slate"):
                browser.complaints.append(f"{page} is not {scheme}")
            faint = await browser.ask(FAINT)
            browser.complaints += [f"{page}, {size}, {scheme}: faint: {text}" for text in faint]
            if size == "wide":
                cut = await browser.ask(CUT)
                browser.complaints += [f"{page}: cut off: {text}" for text in cut]
    await browser.open(address)
    found = await browser.ask(SEARCH)
    print("search for max_lifetime:", found)
    if not found:
        browser.complaints.append("search finds nothing for max_lifetime")
    await browser.open(address + "tutorial/")
    copied = str(await browser.ask(COPY))
    print("copied from the first console block:", copied.split("\n"))
    if "mkdir" not in copied or "$" in copied:
        browser.complaints.append("a console block is copied with its prompts")
    browser.connection.close()
    return browser.complaints


# Each page goes by the browser's colours: none is kept for the next. Clearing what is kept would not do, as
# the page before, in another process, can still write its own after that.
FORGET = """
Storage.prototype.getItem = () => null;
Storage.prototype.setItem = () => {};
"""

SEARCH = """
new Promise(done => {
  document.querySelector('[data-md-toggle=search]').checked = true;
  const query = document.querySelector('[data-md-component=search-query]');
  query.focus();
  query.value = 'max_lifetime';
  query.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));
  query.dispatchEvent(new Event('input', {bubbles: true}));
  let tries = 0;
  const timer = setInterval(() => {
    const hits = [...document.querySelectorAll('.md-search-result__link')].map(link => link.pathname);
    if (hits.length || ++tries > 200) { clearInterval(timer); done([...new Set(hits)]); }
  }, 50);
})
"""


# Blocks of code, and tables of up to six columns, that have to be scrolled.
CUT = """
[...document.querySelectorAll('article pre code, article .doc-heading code, .md-typeset__scrollwrap')]
  .filter(box => box.scrollWidth > box.clientWidth + 1 && box.clientWidth)
  .filter(box => !(box.querySelector('tr')?.cells.length > 6))
  .map(box => box.innerText.slice(0, 60))
"""

# Texts whose contrast to what is behind them is below 3.
FAINT = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const over = (colour, behind) => {
    canvas.fillStyle = `rgb(${behind})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const behind = element => {
    const below = element.parentElement ? behind(element.parentElement) : [255, 255, 255];
    return over(getComputedStyle(element).backgroundColor, below);
  };
  const light = rgb => rgb.map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const found = new Set();
  const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, words = walker.currentNode.data.trim();
    const style = getComputedStyle(element);
    if (!words || element.closest('.headerlink, svg') || !element.offsetWidth) continue;
    const back = behind(element);
    const [low, high] = [light(back), light(over(style.color, back))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const name = element.className || element.tagName;
    if (ratio < 3) found.add(`${ratio.toFixed(1)} ${name} ${words.slice(0, 30)}`);
  }
  return [...found];
})()
"""

# What the theme's button does with a block.
COPY = """
(() => {
  const code = document.querySelector('.gp').closest('code');
  code.setAttribute('data-md-copying', '');
  const text = code.innerText;
  code.removeAttribute('data-md-copying');
  return text.trimEnd();
})()
"""


def main() -> int:
    """Serve the site, start the browser, look."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium found: set CHROMIUM to its path", file=sys.stderr)
        return 1
    folder = SITE / "look"
    folder.mkdir(exist_ok=True)
    handler = functools.partial(Quiet, directory=str(SITE))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        tempfile.TemporaryDirectory() as profile,
    ):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with subprocess.Popen(
            [chromium, *OPTIONS[:-1], f"--user-data-dir={profile}", OPTIONS[-1]],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            try:
                endpoint = next(
                    found.group()
                    for line in process.stderr
                    if (found := re.search(r"ws://127.0.0.1:\d+", line)) is not None
                )
                threading.Thread(target=process.stderr.read, daemon=True).start()
                complaints = asyncio.run(
                    look(page_of(endpoint), f"http://127.0.0.1:{server.server_port}/", folder)
                )
            finally:
                process.terminate()
        server.shutdown()
    print(f"pictures in {folder}")
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def page_of(endpoint: str) -> str:
    """Give the address of the browser's page, which speaks for itself."""
    from urllib.request import urlopen

    with urlopen(endpoint.replace("ws:", "http:") + "/json") as answer:
        pages = json.load(answer)
    return next(str(page["webSocketDebuggerUrl"]) for page in pages if page["type"] == "page")


if __name__ == "__main__":
    sys.exit(main())
