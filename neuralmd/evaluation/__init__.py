"""Evaluation: errors on hidden frames."""
