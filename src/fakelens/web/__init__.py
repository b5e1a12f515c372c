"""``fakelens serve``: the analysis in a browser and as a REST API, on one's own machine.

* ``server``: listens, and ends in order;
* ``app``: the application, guarded; ``api`` and ``pages`` have its routes;
* ``queue``: which job is at work, and what is told of it; ``running``: one worker process;
* ``worker``: what that process does;
* ``store``: the jobs, in SQLite, and their folders.
"""
