"""One script per question; each prints a table with a ratio measured side by side in one run."""
