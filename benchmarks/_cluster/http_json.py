"""Ask a URL for JSON, and print it: `python http_json.py URL [BODY]`; a token is taken from FUSEGPT_TOKEN."""

import os
import sys
import urllib.request

if __name__ == "__main__":
    url, *body = sys.argv[1:]
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("FUSEGPT_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(url, body[0].encode() if body else None, headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        sys.stdout.write(answer.read().decode())
