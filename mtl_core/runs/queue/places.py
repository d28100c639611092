"""Places in the queue, by the order in which the schedule gives runs their first turns."""

__all__ = ["PLACES"]

PLACES = """
SELECT number, row_number() OVER (ORDER BY turn, queued DESC, number) AS place FROM (
    SELECT number, queued, row_number() OVER (
        PARTITION BY visitor ORDER BY step < 0, later, queued DESC, number
    ) AS turn FROM (
        SELECT number, visitor, queued, step, row_number() OVER (
            PARTITION BY question, experiment ORDER BY step < 0, number
        ) > 1 OR EXISTS (
            SELECT 1 FROM runs AS other WHERE other.experiment = runs.experiment
            AND other.question = runs.question AND other.step >= 0
        ) AS later
        FROM runs WHERE state = 'queued' OR (state = 'running' AND step < 0)
    )
)"""
"""The numbers and places of runs that wait for a turn. Each visitor's are in a line of their own:
what goes on, then an experiment's first points, the newest question's first, then what waits behind
those. The heads of the lines come first, then the second in each, and so on: a run waits for no
more of another visitor's than there are of its own before it."""
