"""The job service over HTTP: jobs, models, experiments. What callers may do is their role's."""
