"""The real tuspyserver on 127.0.0.1, in uvicorn, storing in DIR.

   python tuspy-server.py DIR [--port P]

Prints its creation URL on one line once it listens; P of 0, the default, is any free port.
"""

import argparse

import uvicorn
from fastapi import FastAPI
from tuspyserver import create_tus_router


class Server(uvicorn.Server):
    """Says where it listens, on standard output."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            print(f"http://127.0.0.1:{port}/files/", flush=True)


parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("--port", type=int, default=0)
arguments = parser.parse_args()

app = FastAPI()
app.include_router(create_tus_router(prefix="files", files_dir=arguments.dir))
Server(
    uvicorn.Config(app, host="127.0.0.1", port=arguments.port, log_level="warning", lifespan="off")
).run()
