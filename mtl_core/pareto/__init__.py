"""Pareto: many trade-offs at once (MT2O). One file per scalarization, transfer and problem."""

__all__: list[str] = []
