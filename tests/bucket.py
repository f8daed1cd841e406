"""A bucket on this machine: as much of Cloud Storage's JSON API over HTTP as the libraries that training uses need.

tensorstore's own `gcs` driver talks to it, as do gcsfs and google-cloud-storage where they are installed. Where they
are not, `FakeBackend` replaces gcsfs as epath's backend for `gs://`. As in the real service there are only objects:
they are written whole, and there are no folders, no appending and no renaming.
"""

import dataclasses
import fnmatch
import importlib.util
import io
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

from etils.epath import backend, gpath, stat_utils
from orbax.checkpoint._src.path import gcs_utils

from aloe import paths

NAME = "fake"


@dataclasses.dataclass(frozen=True)
class Object:
    content: bytes
    generation: int


class Bucket:
    """Serves the bucket NAME until `close`.

    Attributes:
      url: URL of the server.
      objects: the objects by name.
      writes: when each name was written, over all its generations.
      bytes_in: how many bytes were sent to each name, over all its generations.
    """

    def __init__(self):
        self.objects: dict[str, Object] = {}
        self.writes: dict[str, list[float]] = defaultdict(list)
        self.bytes_in = defaultdict(int)
        self._lock = threading.Lock()
        self._uploads: dict[str, tuple[str, bytearray, dict]] = {}
        self._generation = 0
        handler = type("BoundHandler", (_Handler,), {"bucket": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """Environment variables for a process that is to use this bucket as gs://fake."""
        return {
            "STORAGE_EMULATOR_HOST": self.url,
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
            "GCE_METADATA_ROOT": "127.0.0.1:1",
            "NO_GCE_CHECK": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "GOOGLE_CLOUD_PROJECT": "none",
        }

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def put(self, name, content, query):
        """Writes an object whole; returns None if the precondition on the existing object fails."""
        with self._lock:
            there = self.objects.get(name)
            wanted = query.get("ifGenerationMatch")
            if wanted is not None and int(wanted) != (there.generation if there else 0):
                return None
            self._generation += 1
            self.objects[name] = Object(bytes(content), self._generation)
            self.writes[name].append(time.monotonic())
            self.bytes_in[name] += len(content)
            return self.objects[name]

    def delete(self, name, query):
        with self._lock:
            there = self.objects.get(name)
            wanted = query.get("ifGenerationMatch")
            if wanted is not None and int(wanted) != (there.generation if there else 0):
                return 412
            return 204 if self.objects.pop(name, None) else 404

    def names(self, prefix=""):
        with self._lock:
            return sorted(name for name in self.objects if name.startswith(prefix))

    def text(self, name) -> str:
        return self.objects[name].content.decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Ignored: a client may disconnect before it is answered."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def told(self, name, object):
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": NAME,
            "generation": str(object.generation),
            "metageneration": "1",
            "size": str(len(object.content)),
            "updated": "2024-01-01T00:00:00.000Z",
            "timeCreated": "2024-01-01T00:00:00.000Z",
            "storageClass": "STANDARD",
        }

    def asked(self):
        """Path, query and body of the request."""
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return parts.path, query, body

    def do_GET(self):
        path, query, _ = self.asked()
        of_object = re.fullmatch(rf"(?:/download)?/storage/v1/b/{NAME}/o/(.+)", path)
        if of_object:
            name = unquote(of_object[1])
            there = self.bucket.objects.get(name)
            if there is None:
                return self.answer(404, {"error": {"code": 404, "message": f"no object {name}"}})
            if query.get("ifGenerationNotMatch") == str(there.generation):
                return self.answer(304)
            if query.get("ifGenerationMatch", str(there.generation)) != str(there.generation):
                return self.answer(412)
            if query.get("alt") != "media":
                return self.answer(200, self.told(name, there))
            return self.send_content(there)
        if path == f"/storage/v1/b/{NAME}":
            return self.answer(200, {"kind": "storage#bucket", "name": NAME, "id": NAME})
        if path == f"/storage/v1/b/{NAME}/o":
            return self.answer(200, self.listing(query))
        return self.answer(404, {"error": {"code": 404, "message": path}})

    def send_content(self, there):
        headers = {"x_goog_generation": str(there.generation), "Content_Type": "application/octet-stream"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        size = len(there.content)
        if not wanted:
            return self.answer(200, there.content, **headers)
        first = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        last = min(int(wanted[2]), size - 1) if wanted[1] and wanted[2] else size - 1
        if first >= size:
            return self.answer(416, **headers)
        headers["Content_Range"] = f"bytes {first}-{last}/{size}"
        return self.answer(206, there.content[first : last + 1], **headers)

    def listing(self, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes = [], set()
        for name in self.bucket.names(prefix):
            if not query.get("startOffset", "") <= name or ("endOffset" in query and name >= query["endOffset"]):
                continue
            rest = name.removeprefix(prefix)
            if delimiter and delimiter in rest:
                prefixes.add(prefix + rest.partition(delimiter)[0] + delimiter)
            elif there := self.bucket.objects.get(name):
                items.append(self.told(name, there))
        return {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}

    def do_POST(self):
        path, query, body = self.asked()
        copied = re.fullmatch(rf"/storage/v1/b/{NAME}/o/(.+)/(?:rewriteTo|copyTo)/b/{NAME}/o/(.+)", path)
        if copied:
            source = self.bucket.objects.get(unquote(copied[1]))
            if source is None:
                return self.answer(404)
            name = unquote(copied[2])
            there = self.told(name, self.bucket.put(name, source.content, query))
            return self.answer(200, {"kind": "storage#rewriteResponse", "done": True, "resource": there} | there)
        if path.startswith("/resumable/"):
            return self.go_on(path, body)
        if path != f"/upload/storage/v1/b/{NAME}/o":
            return self.answer(404, {"error": {"code": 404, "message": path}})
        name = query.get("name")
        if query["uploadType"] == "multipart":
            boundary = re.search(r"boundary=['\"]?([^'\";]+)", self.headers["Content-Type"])[1].encode()
            told, content = (
                re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1] for part in body.split(b"--" + boundary)[1:3]
            )
            content = content.removesuffix(b"\n").removesuffix(b"\r")
            name = json.loads(told)["name"]
        elif query["uploadType"] == "resumable":
            name = name or json.loads(body)["name"]
            number = str(len(self.bucket._uploads))
            self.bucket._uploads[number] = name, bytearray(), query
            return self.answer(200, Location=f"{self.bucket.url}/resumable/{number}")
        else:
            content = body
        return self.put(name, content, query)

    def do_PUT(self):
        path, _, body = self.asked()
        self.go_on(path, body)

    def go_on(self, path, body):
        """Receives one chunk of a resumable upload."""
        name, content, query = self.bucket._uploads[path.rpartition("/")[2]]
        content += body
        if self.headers.get("Content-Range", "").endswith("/*"):
            return self.answer(308, Range=f"bytes=0-{len(content) - 1}")
        return self.put(name, content, query)

    def put(self, name, content, query):
        there = self.bucket.put(name, content, query)
        return self.answer(200, self.told(name, there)) if there else self.answer(412)

    def do_DELETE(self):
        path, query, _ = self.asked()
        name = re.fullmatch(rf"/storage/v1/b/{NAME}/o/(.+)", path)
        return self.answer(self.bucket.delete(unquote(name[1]), query) if name else 404)


class _Written(io.BytesIO):
    """A file that appears in the bucket when it is closed."""

    def __init__(self, put):
        super().__init__()
        self._put = put

    def close(self):
        if not self.closed:
            self._put(self.getvalue())
        super().close()


class FakeBackend(backend.Backend):
    """epath's file system operations as one or a few requests to the server; what buckets cannot do raises."""

    def __init__(self, url):
        self._url = url

    def _ask(self, method, path, body=None):
        request = urllib.request.Request(self._url + path, data=body, method=method)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from None
            raise OSError(f"{error.code}: {path}") from None

    def _name(self, path):
        bucket, _, name = str(path).removeprefix("gs://").partition("/")
        assert bucket == NAME, f"{path}: there is no such bucket"
        return name.rstrip("/")

    def _below(self, path, delimiter="/"):
        name = self._name(path)
        prefix = f"{name}/" if name else ""
        options = f"?prefix={quote(prefix, safe='')}" + (f"&delimiter={delimiter}" if delimiter else "")
        found = json.loads(self._ask("GET", f"/storage/v1/b/{NAME}/o{options}"))
        return prefix, found["prefixes"], [item["name"] for item in found["items"]]

    def open(self, path, mode):
        name = quote(self._name(path), safe="")
        if mode in ("r", "rb"):
            content = self._ask("GET", f"/storage/v1/b/{NAME}/o/{name}?alt=media")
            return io.BytesIO(content) if mode == "rb" else io.StringIO(content.decode())
        if mode not in ("w", "wb"):
            raise io.UnsupportedOperation(f"{path}: a bucket's objects are not opened for {mode!r}")
        file = _Written(
            lambda content: self._ask("POST", f"/upload/storage/v1/b/{NAME}/o?uploadType=media&name={name}", content)
        )
        return file if mode == "wb" else io.TextIOWrapper(file, encoding="utf-8", write_through=True)

    def isdir(self, path):
        _, folders, files = self._below(path)
        return bool(folders or files)

    def exists(self, path):
        try:
            self._ask("GET", f"/storage/v1/b/{NAME}/o/{quote(self._name(path), safe='')}")
        except FileNotFoundError:
            return self.isdir(path)
        return True

    def listdir(self, path):
        prefix, folders, files = self._below(path)
        return [name.removeprefix(prefix).strip("/") for name in [*folders, *files]]

    def glob(self, path):
        folder, _, pattern = str(path).rpartition("/")
        return [f"{folder}/{name}" for name in self.listdir(folder) if fnmatch.fnmatch(name, pattern)]

    def walk(self, top, *, top_down=True, on_error=None):
        raise NotImplementedError

    def makedirs(self, path, *, exist_ok=False, mode=None):
        """A bucket needs no folders."""

    mkdir = makedirs

    def rmtree(self, path):
        for name in self._below(path, delimiter=None)[2]:
            self._ask("DELETE", f"/storage/v1/b/{NAME}/o/{quote(name, safe='')}")

    def remove(self, path):
        self._ask("DELETE", f"/storage/v1/b/{NAME}/o/{quote(self._name(path), safe='')}")

    def rename(self, path, dst):
        raise io.UnsupportedOperation(f"{path}: nothing is renamed in a bucket")

    replace = rename

    def copy(self, path, dst, overwrite):
        source, target = quote(self._name(path), safe=""), quote(self._name(dst), safe="")
        self._ask("POST", f"/storage/v1/b/{NAME}/o/{source}/rewriteTo/b/{NAME}/o/{target}", b"")

    def stat(self, path):
        if self.isdir(path):
            return stat_utils.StatResult(True, 0, 0, None, None, None)
        told = json.loads(self._ask("GET", f"/storage/v1/b/{NAME}/o/{quote(self._name(path), safe='')}"))
        return stat_utils.StatResult(False, int(told["size"]), 0, None, None, None)


FAKE, GCSFS = "fake", "gcsfs"
CLIENTS = (FAKE, *([GCSFS] if importlib.util.find_spec("gcsfs") else []))


def use_client(client, url, patch=setattr):
    """Makes epath and Orbax in this process use the server at a URL as gs://fake; its `environment` must be set."""
    if client == FAKE:
        patch(paths, "CLIENT", "json")
        patch(backend.fsspec_backend, "_get_filesystem", None)  # so that whatever bypasses epath's backend fails
        patch(gpath, "_PREFIX_TO_BACKEND", gpath._PREFIX_TO_BACKEND | {"gs": FakeBackend(url)})
        patch(gcs_utils, "is_hierarchical_namespace_enabled", lambda path: False)
