"""Uploads files with the real tuspy, one after the other.

    python tuspy-upload.py URL [--chunk-size N] [--retries N] FILE...

Default: the whole file in one chunk, and no retry, as tuspy has them. Exit code 1 when an upload fails.
"""

import argparse
import sys

from tusclient import client


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--chunk-size", type=int)
    parser.add_argument("--retries", type=int, default=0)
    arguments = parser.parse_args()
    options = {"retries": arguments.retries, "retry_delay": 1}
    if arguments.chunk_size:
        options["chunk_size"] = arguments.chunk_size
    tus = client.TusClient(arguments.url)
    for path in arguments.files:
        try:
            tus.uploader(path, **options).upload()
        except Exception as error:
            print(f"{path}: {error!r}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
