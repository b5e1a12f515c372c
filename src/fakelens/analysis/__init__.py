"""The analysis of one input: from a file to a report.

The pipeline, the table of observations, the verdicts and their assessment. Only code that puts the
lower packages together belongs here; writing files belongs in ``report``.
"""
