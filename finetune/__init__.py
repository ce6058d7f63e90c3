"""Pairs → adapter. Imports `data_prep`, never `eval`."""
