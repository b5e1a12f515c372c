"""``fakelens serve``: the analysis in a browser and as a REST API.

* ``server`` listens and shuts down; ``app`` builds the application behind ``guard``.
* ``api``, ``api_jobs``, ``api_results`` and ``pages`` contain the routes.
* ``admission`` stores and queues what is uploaded, and the ``example``.
* ``queue`` starts jobs and reports their progress.
* ``store`` keeps them in a ``database`` and ``folders``; ``recovery`` compares both at a start;
  ``listing`` searches and sorts; ``retention`` and ``quota`` limit what is kept.
* ``worker_process`` runs ``worker``, which analyses one upload, in a process of its own.
* ``examiner`` is the form of the examiner's report; its ``process`` writes the report.

Only these processes decode uploads. Code that analyses video or writes reports belongs elsewhere.
"""
