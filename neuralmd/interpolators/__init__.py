"""Interpolators: what turns two anchors into a path through the gap."""
