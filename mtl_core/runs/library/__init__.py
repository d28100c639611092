"""The library: artifacts, answers, and their way in and out."""
