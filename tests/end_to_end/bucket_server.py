"""A bucket of Google Cloud Storage in memory, for the tests: `serve()`.

Answers what gcsfs, google-cloud-storage and tensorstore ask of the JSON API,
with generations and their preconditions, on which tensorstore relies.
"""

import base64
import contextlib
import hashlib
import http.server
import itertools
import json
import re
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "bucket"
_OBJECT = re.compile(rf"/(?:download/)?storage/v1/b/{BUCKET}/o/([^/]+)")
_COPY = re.compile(
  rf"/storage/v1/b/{BUCKET}/o/([^/]+)/"
  rf"(moveTo|(?:rewriteTo|copyTo)/b/{BUCKET})/o/([^/]+)"
)


class Held(NamedTuple):
  """An object: its bytes, and the number of the write that made it."""

  data: bytes
  generation: int


class Store:
  """What the bucket holds, by name."""

  def __init__(self) -> None:
    self.objects: dict[str, Held] = {}
    self.lock = threading.Lock()
    self._next = itertools.count(1)

  def write(self, name: str, data: bytes, due: str | None) -> Held | None:
    """Stores an object; None where `due`, its generation, is another one."""
    with self.lock:
      before = self.objects.get(name)
      if due is not None and int(due) != (before.generation if before else 0):
        return None
      self.objects[name] = Held(data, next(self._next))
      return self.objects[name]


def _describe(name: str, held: Held) -> dict[str, Any]:
  digest = base64.b64encode(hashlib.md5(held.data).digest()).decode()
  return {
    "kind": "storage#object",
    "id": f"{BUCKET}/{name}/{held.generation}",
    "name": name,
    "bucket": BUCKET,
    "generation": str(held.generation),
    "metageneration": "1",
    "size": str(len(held.data)),
    "md5Hash": digest,
    "contentType": "application/octet-stream",
    "timeCreated": "2026-01-01T00:00:00.000000Z",
    "updated": "2026-01-01T00:00:00.000000Z",
  }


class _Server(http.server.ThreadingHTTPServer):
  daemon_threads = True

  def handle_error(self, request: Any, client_address: Any) -> None:
    pass  # a client that was killed, or has heard enough


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"
  store: Store
  uploads: dict[str, tuple[str, str | None, bytes]]

  def log_message(self, format: str, *args: Any) -> None:
    pass

  def _answer(self, status: int, body: Any = None, **headers: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    self.send_response(status)
    self.send_header("Content-Length", str(len(raw)))
    self.send_header("Content-Type", "application/json")
    for name, value in headers.items():
      self.send_header(name.replace("_", "-"), value)
    self.end_headers()
    self.wfile.write(raw)

  def _asked(self) -> tuple[str, dict[str, str]]:
    parts = urlsplit(self.path)
    query = parse_qs(parts.query, keep_blank_values=True)
    return parts.path, {name: values[0] for name, values in query.items()}

  def _body(self) -> bytes:
    if self.headers.get("Transfer-Encoding") != "chunked":
      return self.rfile.read(int(self.headers.get("Content-Length") or 0))
    parts = []
    while size := int(self.rfile.readline(), 16):
      parts.append(self.rfile.read(size))
      self.rfile.readline()
    self.rfile.readline()
    return b"".join(parts)

  def do_GET(self) -> None:
    path, query = self._asked()
    if path == f"/storage/v1/b/{BUCKET}":
      self._answer(200, {"kind": "storage#bucket", "name": BUCKET})
    elif path == f"/storage/v1/b/{BUCKET}/o":
      self._answer(200, self._listing(query))
    elif match := _OBJECT.fullmatch(path):
      self._read(unquote(match.group(1)), query)
    else:
      self._answer(404, {"error": {"code": 404, "message": "no such bucket"}})

  def _listing(self, query: dict[str, str]) -> dict[str, Any]:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    start, end = query.get("startOffset", ""), query.get("endOffset")
    most = int(query.get("maxResults", 1000))
    with self.store.lock:
      held = sorted(self.store.objects.items())
    found: dict[str, Held | None] = {}
    for name, one in held:
      if not name.startswith(prefix) or name < start or (end and name >= end):
        continue
      inner = name[len(prefix) :]
      if delimiter and delimiter in inner:
        found[prefix + inner.partition(delimiter)[0] + delimiter] = None
      else:
        found[name] = one
    names = [n for n in found if n > query.get("pageToken", "")]
    page = names[:most]
    listing: dict[str, Any] = {
      "kind": "storage#objects",
      "items": [_describe(name, one) for name in page if (one := found[name])],
      "prefixes": [name for name in page if found[name] is None],
    }
    if len(names) > most:
      listing["nextPageToken"] = page[-1]
    return listing

  def _read(self, name: str, query: dict[str, str]) -> None:
    held = self.store.objects.get(name)
    if held is None:
      self._answer(404, {"error": {"code": 404, "message": f"no {name}"}})
      return
    generation = str(held.generation)
    if query.get("ifGenerationMatch", generation) != generation:
      self._answer(412)
    elif query.get("ifGenerationNotMatch") == generation:
      self._answer(304, b"")
    elif query.get("alt") != "media":
      self._answer(200, _describe(name, held))
    else:
      self._send(held)

  def _send(self, held: Held) -> None:
    headers = {"x_goog_generation": str(held.generation)}
    said = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
    if said is None:
      self._answer(200, held.data, **headers)
      return
    first, size = int(said.group(1)), len(held.data)
    last = min(int(said.group(2) or size - 1), size - 1)
    if first >= size:
      self._answer(416, b"", Content_Range=f"bytes */{size}")
      return
    headers["Content_Range"] = f"bytes {first}-{last}/{size}"
    self._answer(206, held.data[first : last + 1], **headers)

  def do_DELETE(self) -> None:
    match = _OBJECT.fullmatch(self._asked()[0])
    with self.store.lock:
      gone = match and self.store.objects.pop(unquote(match.group(1)), None)
    if gone:
      self._answer(204, b"")
    else:
      self._answer(404, {"error": {"code": 404, "message": "no such object"}})

  def do_POST(self) -> None:
    path, query = self._asked()
    body = self._body()
    if match := _COPY.fullmatch(path):
      self._copy(*map(unquote, match.groups()))
    elif path != f"/upload/storage/v1/b/{BUCKET}/o":
      self._answer(404, {"error": {"code": 404, "message": "no such bucket"}})
    elif "upload_id" in query:
      self._go_on(query["upload_id"], body)
    elif query.get("uploadType") == "resumable":
      name = query.get("name") or json.loads(body)["name"]
      number = str(len(self.uploads))
      self.uploads[number] = name, query.get("ifGenerationMatch"), b""
      host = self.headers["Host"]
      where = f"http://{host}{path}?uploadType=resumable&upload_id={number}"
      self._answer(200, Location=where)
    elif query.get("uploadType") == "multipart":
      name, data = self._parts(body)
      self._write(query.get("name") or name, data, query)
    else:
      self._write(query["name"], body, query)

  def do_PUT(self) -> None:
    self._go_on(self._asked()[1]["upload_id"], self._body())

  def _go_on(self, number: str, body: bytes) -> None:
    name, due, data = self.uploads[number]
    data += body
    self.uploads[number] = name, due, data
    if (self.headers.get("Content-Range") or "").endswith("/*"):
      self._answer(308, b"", Range=f"bytes=0-{len(data) - 1}")
      return
    query = {} if due is None else {"ifGenerationMatch": due}
    self._write(name, data, query)

  def _parts(self, body: bytes) -> tuple[str, bytes]:
    kind = self.headers["Content-Type"]
    mark = re.search(r'boundary="?([^";]+)', kind)
    assert mark is not None, kind
    _, first, second, _ = body.split(b"--" + mark.group(1).strip("'").encode())
    described = json.loads(first.partition(b"\r\n\r\n")[2] or first)
    data = second.partition(b"\r\n\r\n")[2]
    return described["name"], data.removesuffix(b"\r\n")

  def _write(self, name: str, data: bytes, query: dict[str, str]) -> None:
    held = self.store.write(name, data, query.get("ifGenerationMatch"))
    if held is None:
      self._answer(412, {"error": {"code": 412, "message": "another wrote it"}})
    else:
      self._answer(200, _describe(name, held))

  def _copy(self, name: str, verb: str, target: str) -> None:
    held = self.store.objects.get(name)
    made = held and self.store.write(target, held.data, None)
    if not made:
      self._answer(404, {"error": {"code": 404, "message": f"no {name}"}})
      return
    described = _describe(target, made)
    if verb == "moveTo":
      with self.store.lock:
        self.store.objects.pop(name, None)
    if verb.startswith("rewriteTo"):
      size = str(len(made.data))
      described = {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": size,
        "objectSize": size,
        "done": True,
        "resource": described,
      }
    self._answer(200, described)


@contextlib.contextmanager
def serve() -> Iterator[tuple[str, Store]]:
  """Serves an empty bucket; gives its URL and what it holds."""
  store = Store()
  made = type("Handler", (_Handler,), {"store": store, "uploads": {}})
  server = _Server(("127.0.0.1", 0), made)
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield f"http://127.0.0.1:{server.server_address[1]}", store
  finally:
    server.shutdown()
    server.server_close()
    thread.join()
