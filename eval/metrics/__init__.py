"""Metrics, one small module a family."""
