"""What each verb of the `fusegpt` command does; `service/cli.py` holds the words, these files the work."""
