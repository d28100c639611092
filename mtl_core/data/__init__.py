"""Data: where data sets are, how they are read, split and downloaded."""
