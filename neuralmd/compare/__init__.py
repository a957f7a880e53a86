"""The comparison of methods: trainings at equal data and budget, scores, tables and figures."""
