"""Run by test_shards under torchrun: fills a run folder together with the other processes.

shards_script.py RECIPE.yaml RUNS PROCESSES
"""

import os
import sys
from pathlib import Path

from torch import distributed

from eval.generate import generate, read_recipe

assert os.environ["WORLD_SIZE"] == sys.argv[3]
generate(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]))
assert distributed.get_world_size() == int(sys.argv[3]) and distributed.get_backend() == "gloo"
print(f"process {distributed.get_rank()} is done", flush=True)
