"""Kinds of experiments."""
