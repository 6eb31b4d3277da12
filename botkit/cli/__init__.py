"""The command line: one file a command; what costs time to import is imported inside the functions."""
