"""@NAME@: answers on port 8080 until it is stopped."""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """GET / says hello; all other paths do not exist."""

    def do_GET(self):
        if self.path != "/":
            self.send_error(404)
            return
        body = json.dumps({"hello": "@NAME@"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
print("ready", flush=True)
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
