"""The queue: the store, the schedule and the worker that carries runs out."""
