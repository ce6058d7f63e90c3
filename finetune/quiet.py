"""Silences what libraries say on every start and nobody can act on; errors still show."""

import logging
import warnings


def quieten() -> None:
    """Call before transformers, peft or trl load anything."""
    from transformers.utils import logging as progress

    progress.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses a kernel package that is not needed
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
