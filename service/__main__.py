"""`python -m service` is the `fusegpt` command."""

from service.cli import main

main()
