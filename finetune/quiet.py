"""Silences what libraries say on every start and nobody can act on (errors still show), and shortens that start."""

import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Imports without collecting garbage: what they make stays, and is looked through time and again (docs/speed.md: how long).

    What is there afterwards is never looked through again, not at the end of the process either. Does nothing where torch is
    there already: little is left to import then, and what a program of somebody else's made by then is not ours to freeze.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def quieten() -> None:
    """Call before transformers, peft or trl load anything."""
    from transformers.utils import logging as progress

    progress.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses a kernel package that is not needed
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
