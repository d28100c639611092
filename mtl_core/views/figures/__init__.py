"""The figures of the pages, to be drawn there, and taken away: a file for each page."""
