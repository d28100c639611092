"""Grids: many experiments at once, from plans to artifacts."""
