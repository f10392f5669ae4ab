"""A camera that is reached by HTTP."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.videos import pictures, write_video


class Camera(http.server.BaseHTTPRequestHandler):
    """A camera that is reached by HTTP: whatever is asked for, it shows `video`."""

    video = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.video)))
        self.end_headers()
        self.wfile.write(self.video)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Give the host and port of a camera, whose video is written into the folder."""
    Camera.video = write_video(folder / "v.ts", pictures(20), codec="libx264").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
