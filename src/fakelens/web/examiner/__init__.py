"""The examiner's report on the server.

* ``page`` is the page with the ``form``, ``api`` the REST API.
* ``files`` stores the case file and the report with the results of the job.
* ``process`` writes the report in a process of its own.
"""
