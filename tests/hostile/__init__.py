"""Hostile files, kind by kind: each module has CASES. `python tests/hostile_files.py` makes and tries them all."""
