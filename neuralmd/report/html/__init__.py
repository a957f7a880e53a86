"""The report of a run as one HTML file that needs no network: what was done, how well, and a 3-D view of the result."""
