"""The socket of Docker 29: its list of running containers, for API versions from 1.44 on, or without a version."""

import json
import os
import re
import socket
import sys
from pathlib import Path

from tests.standins.store import Store

OLDEST = (1, 44)


def answer(root: Path, request: str) -> tuple[int, object]:
    """Return the status and the body for a request."""
    path = request.split(" ")[1]
    if version := re.match(r"/v(\d+)\.(\d+)/", path):
        numbers = tuple(map(int, version.groups()))
        if numbers < OLDEST:
            named = ".".join(version.groups())
            return 400, {"message": f"client version {named} is too old. Minimum supported API version is 1.44"}
        path = path[version.end() - 1 :]
    if path != "/containers/json":
        return 404, {"message": "page not found"}
    with Store(root).state() as state:
        rows = [one for one in state["containers"].values() if one["status"] == "running"]
    return 200, [{"Id": one["id"], "Names": [f"/{one['name']}"], "State": "running"} for one in rows]


def serve(root: Path, place: str) -> None:
    """Answer requests until the process ends."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                status, body = answer(root, connection.recv(65536).decode())
                text = json.dumps(body)
                connection.sendall(f"HTTP/1.0 {status} x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


if __name__ == "__main__":
    serve(Path(os.environ["STANDIN_ROOT"]), sys.argv[1])
