"""Generate → post-process → score → report. Imported as `from eval.x import …`, for `eval` alone is a builtin's name."""
